package io.github.trillspeech.core;

/**
 * What the model makes of a window or a clip.
 *
 * @param values {@code dimension} numbers; not copied.
 * @param timestampMs where its sound starts, in ms since the recording started.
 */
public record Embedding(float[] values, long timestampMs) {}
