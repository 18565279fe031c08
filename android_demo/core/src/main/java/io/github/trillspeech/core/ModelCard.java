package io.github.trillspeech.core;

/**
 * What a model file says of itself: the facts an app depends on.
 *
 * @param name e.g. "mobilenet".
 * @param version changes whenever the embeddings change.
 * @param sampleRate in Hz.
 * @param windowSamples in the one window it takes.
 * @param hopSamples between the starts of two windows.
 * @param dimension numbers in an embedding.
 * @param sha256 of the flatbuffer, 64 hexadecimal digits.
 */
public record ModelCard(
        String name, String version, int sampleRate, int windowSamples, int hopSamples, int dimension, String sha256) {}
