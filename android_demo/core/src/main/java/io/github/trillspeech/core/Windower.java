package io.github.trillspeech.core;

import java.util.ArrayList;
import java.util.List;

/**
 * Makes windows of samples that arrive in chunks of any size: the same windows as of the whole recording.
 *
 * <p>Time is counted in samples; a clock that is set while recording changes nothing. After a gap the next window
 * starts with the sound behind it.
 */
public final class Windower {
    private final int window;
    private final int hop;
    private final int sampleRate;
    private final float[] ring;
    private long origin; // position at which the windows start
    private long received; // position behind the last sample taken
    private long due; // position behind the next window

    /**
     * @param window samples in a window.
     * @param hop samples between the starts of two.
     * @param sampleRate in Hz, for timestamps.
     * @throws IllegalArgumentException if one is not positive.
     */
    public Windower(int window, int hop, int sampleRate) {
        if (window < 1 || hop < 1 || sampleRate < 1) {
            throw new IllegalArgumentException("window, hop and rate must be positive, got " + window + ", " + hop
                    + " and " + sampleRate + ". The model's card knows them.");
        }
        this.window = window;
        this.hop = hop;
        this.sampleRate = sampleRate;
        this.ring = new float[window];
        restart(0);
    }

    /** Windows as the model wants them. */
    public static Windower of(SpeechEmbedder embedder) {
        return new Windower(embedder.windowSamples(), embedder.hopSamples(), embedder.sampleRate());
    }

    /**
     * Takes the first {@code count} samples.
     *
     * @param position of the first, as {@link RingBuffer.Chunk} says.
     * @return the windows that they complete.
     * @throws IllegalArgumentException if they have been taken before.
     */
    public List<Window> push(short[] pcm, int count, long position) {
        if (position < received) {
            throw new IllegalArgumentException(
                    "samples come in order, got position " + position + " after " + received + ". Read each once.");
        }
        if (position > received) {
            restart(position);
        }
        List<Window> whole = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            ring[(int) (received % window)] = pcm[i] / 32768f;
            received++;
            if (received == due) {
                whole.add(window(due - window, window));
                due += hop;
            }
        }
        return whole;
    }

    /** The end of the recording: one more window, padded with zeros, where {@link Framing} has one. */
    public List<Window> finish() {
        long samples = received - origin;
        long given = (due - origin - window) / hop;
        if (samples == 0 || Framing.numWindows(samples, window, hop) == given) {
            return List.of();
        }
        long start = due - window;
        due += hop;
        return List.of(window(start, (int) (received - start)));
    }

    private void restart(long position) {
        origin = position;
        received = position;
        due = position + window;
    }

    private Window window(long start, int count) {
        float[] samples = new float[window];
        for (int i = 0; i < count; i++) {
            samples[i] = ring[(int) ((start + i) % window)];
        }
        return new Window(samples, start, start * 1000 / sampleRate);
    }

    /**
     * @param samples in [-1, 1].
     * @param start position of the first.
     * @param timestampMs the same in ms since the recording started.
     */
    public record Window(float[] samples, long start, long timestampMs) {}
}
