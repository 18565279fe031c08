package io.github.trillspeech.demo;

import android.app.Application;

/** Holds the session, which outlives activities: a rotation interrupts nothing. */
public class DemoApplication extends Application {
    private Session session;

    /** The one session; main thread only. */
    Session session() {
        if (session == null) {
            session = new Session(this, this::openModel);
        }
        return session;
    }

    /** Ends the session, as the end of the process does; main thread only. */
    void end() {
        if (session != null) {
            session.close();
            session = null;
        }
    }

    /** Called once, on the session's thread. */
    SpeechModel openModel() {
        return SpeechModel.open(this);
    }
}
