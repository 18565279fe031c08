package io.github.trillspeech.core;

/** Why there is no sound. */
public final class MicrophoneException extends Exception {
    private static final long serialVersionUID = 1;

    /** What an app shows a sentence for. */
    public enum Reason {
        /** The device has none. */
        ABSENT,
        /** The permission is missing. */
        REFUSED,
        /** Another app has it. */
        BUSY,
        /** It stopped giving samples. */
        LOST,
        /** It gives zeros only: switched off for all apps, or taken by one with more rights. */
        ZEROS
    }

    private final Reason reason;

    public MicrophoneException(Reason reason, String message) {
        super(message);
        this.reason = reason;
    }

    public Reason reason() {
        return reason;
    }
}
