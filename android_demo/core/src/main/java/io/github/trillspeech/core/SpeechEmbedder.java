package io.github.trillspeech.core;

/**
 * Sound in, vector out. {@link ModelEmbedder} is the one over a model file.
 *
 * <p>Embeddings may be compared with those of the same {@link #modelHash()} only.
 */
public interface SpeechEmbedder {
    /**
     * Embeds one window.
     *
     * @param samples {@link #windowSamples()} samples in [-1, 1] at {@link #sampleRate()}.
     * @param timestampMs passed on.
     * @throws IllegalArgumentException if there are more samples or fewer.
     */
    Embedding embed(float[] samples, long timestampMs);

    /**
     * Embeds a clip of any length: the mean over its windows (see {@link Framing}).
     *
     * @throws IllegalArgumentException if it is empty.
     */
    Embedding embedClip(float[] samples);

    /** Samples in a window. */
    int windowSamples();

    /** Samples between the starts of two windows of a clip. */
    int hopSamples();

    /** In Hz. */
    int sampleRate();

    /** Numbers in an embedding. */
    int dimension();

    /** SHA-256 of the model, 64 hexadecimal digits. */
    String modelHash();
}
