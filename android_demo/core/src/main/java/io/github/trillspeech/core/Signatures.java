package io.github.trillspeech.core;

import java.util.Map;

/**
 * A model's functions by name: the seam between this package and a TFLite interpreter.
 *
 * <p>An implementation need not be thread-safe: {@link ModelEmbedder} and {@link ModelHead} take turns on the object.
 */
public interface Signatures {
    /**
     * The shape of an input, e.g. {@code {1, 15600}} of "waveform" of "embed"; {@code {}} of a single number.
     *
     * @throws IllegalArgumentException if the model has no such signature or input.
     */
    int[] inputShape(String signature, String input);

    /** The shape of an output; see {@link #inputShape}. */
    int[] outputShape(String signature, String output);

    /**
     * Calls a function of the model.
     *
     * @param inputs by name: {@code float[]}, or {@code int[]} for labels; row by row.
     * @return its outputs by name, row by row, in arrays of the caller's own.
     * @throws ModelException if the interpreter refuses.
     */
    Map<String, float[]> run(String signature, Map<String, ?> inputs);
}
