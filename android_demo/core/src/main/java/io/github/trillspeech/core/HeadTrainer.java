package io.github.trillspeech.core;

/**
 * The head inside a model file that learns: a softmax over {@link #numClasses()} rows, trained in the file.
 *
 * <p>docs/personalization-on-device.md is the contract of its functions. {@link ModelHead} is the one over a file.
 */
public interface HeadTrainer {
    /** Rows there are. */
    int numClasses();

    /** Embeddings in one step. */
    int batch();

    /** Numbers in an embedding. */
    int dimension();

    /**
     * One step. The file scales the embeddings to length 1 itself.
     *
     * @param embeddings at most {@link #batch()}; the rest is padding.
     * @param rows the class of each.
     * @return the loss before the step.
     * @throws IllegalArgumentException if there are too many, or not as many rows as embeddings.
     */
    float train(float[][] embeddings, int[] rows, Rates rates);

    /** What the head says of an embedding. */
    Inference infer(float[] embedding);

    /** All of the head's state, velocities included. */
    HeadWeights getWeights();

    /** Puts back what {@link #getWeights} gave, to the last bit. */
    void setWeights(HeadWeights weights);

    /**
     * @param probabilities one a row; 0 for rows not in use.
     * @param scores before the softmax, one a row.
     */
    record Inference(float[] probabilities, float[] scores) {}

    /** Of a step of stochastic gradient descent; {@link #STABLE} suits every model, since embeddings have length 1. */
    record Rates(float learningRate, float momentum, float weightDecay) {
        public static final Rates STABLE = new Rates(1f, 0.9f, 1e-4f);

        /** Those of a step from 1 to {@code steps}: the learning rate falls from 1 in a straight line. */
        public static Rates falling(int step, int steps) {
            float left = 1 - (step - 1) / (float) steps;
            return new Rates(STABLE.learningRate * left, STABLE.momentum, STABLE.weightDecay);
        }
    }
}
