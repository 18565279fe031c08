package io.github.trillspeech.core;

import java.util.List;

/**
 * All that was learned from people's voices, and nothing of their sound.
 *
 * @param modelHash of the model that made the embeddings: no other can use them.
 * @param numClasses rows of its head.
 * @param dimension numbers in an embedding.
 * @param people in the order of their enrolment.
 * @param weights of the head trained on exactly these people, or null.
 */
public record HeadState(String modelHash, int numClasses, int dimension, List<Person> people, HeadWeights weights) {
    /** Nobody is known. */
    public static HeadState empty(String modelHash, int numClasses, int dimension) {
        return new HeadState(modelHash, numClasses, dimension, List.of(), null);
    }

    /** Whether the head has been trained on these people. */
    public boolean trained() {
        return weights != null;
    }

    /**
     * @param label as {@link Labels#clean} gives it.
     * @param row of the head.
     * @param clips an embedding each; not copied.
     */
    public record Person(String label, int row, List<float[]> clips) {}
}
