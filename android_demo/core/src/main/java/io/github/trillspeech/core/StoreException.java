package io.github.trillspeech.core;

import java.io.IOException;

/** A state that cannot be stored or read; the message says rule, value and way out. */
public final class StoreException extends IOException {
    private static final long serialVersionUID = 1;

    /** What an app shows a sentence for. */
    public enum Reason {
        /** The file is cut short or altered. */
        DAMAGED,
        /** It was written by another version of the app. */
        OTHER_VERSION,
        /** Its embeddings are of another model. */
        OTHER_MODEL,
        /** The storage is full. */
        NO_SPACE,
        /** The system refuses. */
        FAILED
    }

    private final Reason reason;

    public StoreException(Reason reason, String message, Throwable cause) {
        super(message, cause);
        this.reason = reason;
    }

    public Reason reason() {
        return reason;
    }
}
