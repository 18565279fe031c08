package io.github.trillspeech.core;

/** A microphone: mono, sixteen bits, at the model's rate. The app's recorder is one; a test's array is one. */
public interface AudioSource {
    /** @throws MicrophoneException if there is none, or it may not or cannot be used. */
    void open() throws MicrophoneException;

    /**
     * Waits for samples.
     *
     * @return how many were put at the start of {@code into}; -1 at the end of the sound, 0 when it was closed.
     * @throws MicrophoneException if the microphone is gone.
     */
    int read(short[] into) throws MicrophoneException;

    /** Gives the microphone back; may be called twice, and from another thread, where it makes {@link #read} return. */
    void close();
}
