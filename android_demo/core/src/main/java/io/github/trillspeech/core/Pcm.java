package io.github.trillspeech.core;

/** Sixteen-bit samples: as numbers, and how loud they are. */
public final class Pcm {
    /** What {@link #levelDbfs} gives for digital silence. */
    public static final double SILENCE_DBFS = 20 * Math.log10(1 / 32768.0);

    /** Below it nobody speaks into a phone; room noise lies at -70 to -55. Our choice, not measured. */
    public static final double SPEECH_DBFS = -50;

    private Pcm() {}

    /** The first {@code count} samples, divided by 32768, which is all the scaling that the model wants. */
    public static float[] toFloat(short[] pcm, int count) {
        float[] samples = new float[count];
        for (int i = 0; i < count; i++) {
            samples[i] = pcm[i] / 32768f;
        }
        return samples;
    }

    /** Root mean square of the first {@code count} samples in dB below full scale: from {@link #SILENCE_DBFS} to 0. */
    public static double levelDbfs(short[] pcm, int count) {
        double squares = 0;
        for (int i = 0; i < count; i++) {
            squares += (double) pcm[i] * pcm[i];
        }
        return level(squares, count, 32768);
    }

    /** The same of samples in [-1, 1]. */
    public static double levelDbfs(float[] samples) {
        double squares = 0;
        for (float sample : samples) {
            squares += (double) sample * sample;
        }
        return level(squares, samples.length, 1);
    }

    private static double level(double squares, int count, double full) {
        double rms = count == 0 ? 0 : Math.sqrt(squares / count) / full;
        return Math.max(SILENCE_DBFS, 20 * Math.log10(rms));
    }

    /** Whether nobody speaks in them: quieter than {@link #SPEECH_DBFS}. */
    public static boolean isSilent(short[] pcm, int count) {
        return levelDbfs(pcm, count) < SPEECH_DBFS;
    }

    /** The same of samples in [-1, 1]. */
    public static boolean isSilent(float[] samples) {
        return levelDbfs(samples) < SPEECH_DBFS;
    }
}
