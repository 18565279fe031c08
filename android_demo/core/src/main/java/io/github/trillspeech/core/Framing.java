package io.github.trillspeech.core;

/** How a clip is cut into windows: the rule of docs/on-device.md, as trill/windows.py computes it. */
public final class Framing {
    private Framing() {}

    /**
     * How many windows a clip has.
     *
     * <p>They start at 0, hop, 2 hop, ... while a whole one fits. One more, padded with zeros, is added when it would
     * see at least half a hop (half a window, if that is less) of sound that no whole window has seen; a clip shorter
     * than one window is padded to one.
     *
     * @throws IllegalArgumentException if a count is not positive.
     */
    public static long numWindows(long samples, int window, int hop) {
        if (samples < 1 || window < 1 || hop < 1) {
            throw new IllegalArgumentException("samples, window and hop must be positive, got " + samples + ", "
                    + window + " and " + hop + ". Record first.");
        }
        long whole = 1 + Math.max(0, samples - window) / hop;
        long next = whole * hop;
        long unseen = samples - Math.max(next, next - hop + window);
        return whole + (2 * unseen >= Math.min(hop, window) ? 1 : 0);
    }

    /** Window {@code index} of a clip; zeros where it reaches past the end. */
    public static float[] window(float[] clip, long index, int window, int hop) {
        int start = Math.toIntExact(index * hop);
        float[] cut = new float[window];
        System.arraycopy(clip, start, cut, 0, Math.min(window, clip.length - start));
        return cut;
    }
}
