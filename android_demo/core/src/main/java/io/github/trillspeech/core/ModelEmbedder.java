package io.github.trillspeech.core;

import java.util.Map;

/** A {@link SpeechEmbedder} over a model file's signature "embed" (personal files) or "serving_default" (others). */
public final class ModelEmbedder implements SpeechEmbedder {
    /** The signature of files that learn. */
    public static final String PERSONAL = "embed";

    /** The signature of all others. */
    public static final String PLAIN = "serving_default";

    private final Signatures model;
    private final ModelCard card;
    private final String signature;
    private final boolean l2Normalize;

    /**
     * @param model the file in an interpreter.
     * @param card of the same file.
     * @param signature {@link #PERSONAL} or {@link #PLAIN}.
     * @param l2Normalize whether embeddings are scaled to length 1, after the mean.
     * @throws ModelException if the file does not take the windows that its card names.
     */
    public ModelEmbedder(Signatures model, ModelCard card, String signature, boolean l2Normalize) {
        this.model = model;
        this.card = card;
        this.signature = signature;
        this.l2Normalize = l2Normalize;
        int taken = size(model.inputShape(signature, "waveform"));
        int given = size(model.outputShape(signature, "embedding"));
        if (taken != card.windowSamples() || given != card.dimension()) {
            throw new ModelException("a model takes and gives what its card names, " + card.windowSamples()
                    + " samples and " + card.dimension() + " numbers, got " + taken + " and " + given
                    + ". Export the file again with trill-export.");
        }
    }

    @Override
    public Embedding embed(float[] samples, long timestampMs) {
        return new Embedding(scaled(run(samples)), timestampMs);
    }

    @Override
    public Embedding embedClip(float[] samples) {
        long count = Framing.numWindows(samples.length, windowSamples(), hopSamples());
        double[] sum = new double[dimension()];
        for (long index = 0; index < count; index++) {
            float[] row = run(Framing.window(samples, index, windowSamples(), hopSamples()));
            for (int i = 0; i < sum.length; i++) {
                sum[i] += row[i];
            }
        }
        float[] mean = new float[sum.length];
        for (int i = 0; i < mean.length; i++) {
            mean[i] = (float) (sum[i] / count);
        }
        return new Embedding(scaled(mean), 0);
    }

    private float[] run(float[] window) {
        if (window.length != windowSamples()) {
            throw new IllegalArgumentException("a window has " + windowSamples() + " samples, got " + window.length
                    + ". Cut the sound with Windower, or pass all of it to embedClip.");
        }
        synchronized (model) {
            return model.run(signature, Map.of("waveform", window)).get("embedding");
        }
    }

    private float[] scaled(float[] values) {
        return l2Normalize ? CosineScorer.unit(values) : values;
    }

    static int size(int[] shape) {
        int size = 1;
        for (int length : shape) {
            size *= length;
        }
        return size;
    }

    @Override
    public int windowSamples() {
        return card.windowSamples();
    }

    @Override
    public int hopSamples() {
        return card.hopSamples();
    }

    @Override
    public int sampleRate() {
        return card.sampleRate();
    }

    @Override
    public int dimension() {
        return card.dimension();
    }

    @Override
    public String modelHash() {
        return card.sha256();
    }
}
