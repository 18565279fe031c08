package io.github.trillspeech.core;

import java.util.Map;

/** A {@link HeadTrainer} over the signatures "train", "infer", "get_weights" and "set_weights" of a model file. */
public final class ModelHead implements HeadTrainer {
    private final Signatures model;
    private final int numClasses;
    private final int batch;
    private final int dimension;

    /**
     * @param model a file made by {@code trill-export --personal}, in an interpreter.
     * @throws IllegalArgumentException if the file has no head.
     */
    public ModelHead(Signatures model) {
        this.model = model;
        int[] weights = model.inputShape("set_weights", "weights");
        this.numClasses = weights[0];
        this.dimension = weights[1];
        this.batch = model.inputShape("train", "embeddings")[0];
    }

    @Override
    public int numClasses() {
        return numClasses;
    }

    @Override
    public int batch() {
        return batch;
    }

    @Override
    public int dimension() {
        return dimension;
    }

    @Override
    public float train(float[][] embeddings, int[] rows, Rates rates) {
        if (embeddings.length > batch || embeddings.length != rows.length) {
            throw new IllegalArgumentException("a step takes at most " + batch + " embeddings and a row for each, got "
                    + embeddings.length + " and " + rows.length + ". Spread them over steps.");
        }
        float[] packed = new float[batch * dimension];
        int[] labels = new int[batch];
        float[] sampleWeights = new float[batch]; // 0 of padding
        for (int i = 0; i < rows.length; i++) {
            System.arraycopy(embeddings[i], 0, packed, i * dimension, dimension);
            labels[i] = rows[i];
            sampleWeights[i] = 1;
        }
        return run("train", Map.of(
                "embeddings", packed,
                "labels", labels,
                "sample_weights", sampleWeights,
                "learning_rate", new float[] {rates.learningRate()},
                "momentum", new float[] {rates.momentum()},
                "weight_decay", new float[] {rates.weightDecay()})).get("loss")[0];
    }

    @Override
    public Inference infer(float[] embedding) {
        Map<String, float[]> found = run("infer", Map.of("embedding", embedding));
        return new Inference(found.get("probabilities"), found.get("scores"));
    }

    @Override
    public HeadWeights getWeights() {
        Map<String, float[]> found = run("get_weights", Map.of("unused", new float[1]));
        return new HeadWeights(
                found.get("weights"),
                found.get("bias"),
                found.get("weights_velocity"),
                found.get("bias_velocity"),
                found.get("active"));
    }

    @Override
    public void setWeights(HeadWeights weights) {
        run("set_weights", Map.of(
                "weights", weights.weights(),
                "bias", weights.bias(),
                "weights_velocity", weights.weightsVelocity(),
                "bias_velocity", weights.biasVelocity(),
                "active", weights.active()));
    }

    private Map<String, float[]> run(String signature, Map<String, ?> inputs) {
        synchronized (model) {
            return model.run(signature, inputs);
        }
    }
}
