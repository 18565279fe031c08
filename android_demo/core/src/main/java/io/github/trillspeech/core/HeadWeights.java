package io.github.trillspeech.core;

/**
 * The numbers of a head, row by row; arrays are not copied.
 *
 * @param weights {@code numClasses * dimension}.
 * @param bias {@code numClasses}.
 * @param weightsVelocity as weights.
 * @param biasVelocity as bias.
 * @param active 1 for rows in use, 0 for free ones.
 */
public record HeadWeights(
        float[] weights, float[] bias, float[] weightsVelocity, float[] biasVelocity, float[] active) {

    /** A head that knows nothing. */
    public static HeadWeights zeros(int numClasses, int dimension) {
        return new HeadWeights(
                new float[numClasses * dimension],
                new float[numClasses],
                new float[numClasses * dimension],
                new float[numClasses],
                new float[numClasses]);
    }
}
