/**
 * From microphone samples to "who is this?", without a line of Android: every class runs on any JVM of Java 17.
 *
 * <pre>
 * AudioSource -> Capture -> RingBuffer -> Windower -> SpeechEmbedder -> Recognizer -> answer
 *                                \-> Enroller -> SpeechEmbedder.embedClip -> PersonalHead -> HeadStore
 * </pre>
 *
 * An app adds two adapters: an {@link io.github.trillspeech.core.AudioSource} over its recorder and a
 * {@link io.github.trillspeech.core.Signatures} over its TFLite interpreter. Time is counted in samples, never read
 * from a clock.
 */
package io.github.trillspeech.core;
