package io.github.trillspeech.core;

import java.util.List;

/** How alike embeddings are, whatever their lengths. */
public final class CosineScorer {
    private CosineScorer() {}

    /** Cosine of the angle between two vectors, in [-1, 1]; 0 when one of them is all zeros. */
    public static double cosine(float[] a, float[] b) {
        checkLengths(a, b);
        double dot = 0;
        double aa = 0;
        double bb = 0;
        for (int i = 0; i < a.length; i++) {
            dot += (double) a[i] * b[i];
            aa += (double) a[i] * a[i];
            bb += (double) b[i] * b[i];
        }
        return aa == 0 || bb == 0 ? 0 : Math.max(-1, Math.min(1, dot / Math.sqrt(aa) / Math.sqrt(bb)));
    }

    /** The vector at length 1; zeros stay zeros. */
    public static float[] unit(float[] values) {
        double squares = 0;
        for (float value : values) {
            squares += (double) value * value;
        }
        double scale = squares == 0 ? 0 : 1 / Math.sqrt(squares);
        float[] scaled = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            scaled[i] = (float) (values[i] * scale);
        }
        return scaled;
    }

    /**
     * The prototype of a class: the mean of its embeddings, each of length 1, brought to length 1 again.
     *
     * @throws IllegalArgumentException if there are none.
     */
    public static float[] centroid(List<float[]> embeddings) {
        if (embeddings.isEmpty()) {
            throw new IllegalArgumentException("a centroid needs an embedding, got none. Enrol a clip first.");
        }
        float[] sum = new float[embeddings.get(0).length];
        for (float[] embedding : embeddings) {
            checkLengths(sum, embedding);
            float[] scaled = unit(embedding);
            for (int i = 0; i < sum.length; i++) {
                sum[i] += scaled[i];
            }
        }
        return unit(sum);
    }

    private static void checkLengths(float[] a, float[] b) {
        if (a.length != b.length) {
            throw new IllegalArgumentException("embeddings of one model have one length, got " + a.length + " and "
                    + b.length + ". Compare embeddings of the same model only.");
        }
    }
}
