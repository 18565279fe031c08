package io.github.trillspeech.demo;

import android.content.Context;
import io.github.trillspeech.core.MicrophoneException;
import io.github.trillspeech.core.StoreException;

/**
 * Something to tell, as a text of the resources, so that it follows the language.
 *
 * @param text of the resources.
 * @param argument put into it.
 * @param kind how it is shown.
 * @param settings whether the app's settings are the way out.
 */
record Notice(int text, String argument, Kind kind, boolean settings) {
    enum Kind {
        DONE,
        WRONG
    }

    /** Something went wrong. */
    static Notice of(int text) {
        return new Notice(text, "", Kind.WRONG, false);
    }

    /** Something was done. */
    static Notice done(int text, String label) {
        return new Notice(text, label, Kind.DONE, false);
    }

    static Notice of(Throwable error) {
        if (error instanceof MicrophoneException microphone) {
            return of(switch (microphone.reason()) {
                case ABSENT -> R.string.absent;
                case REFUSED -> R.string.refused;
                case BUSY -> R.string.busy;
                case LOST -> R.string.lost;
                case ZEROS -> R.string.zeros;
            });
        }
        if (error instanceof StoreException store) {
            return of(switch (store.reason()) {
                case DAMAGED -> R.string.store_damaged;
                case OTHER_VERSION -> R.string.store_other_version;
                case OTHER_MODEL -> R.string.store_other_model;
                case NO_SPACE -> R.string.store_no_space;
                case FAILED -> R.string.store_failed;
            });
        }
        // Core's texts say rule, value and way out.
        String text = error.getMessage() == null ? error.toString() : error.getMessage();
        return new Notice(R.string.other, text, Kind.WRONG, false);
    }

    String text(Context context) {
        return context.getString(text, argument);
    }
}
