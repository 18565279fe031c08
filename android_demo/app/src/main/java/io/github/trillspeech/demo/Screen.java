package io.github.trillspeech.demo;

import io.github.trillspeech.core.HeadState;
import io.github.trillspeech.core.Recognizer;
import java.util.List;

/** All that is to be seen at one moment. The session makes it, the activity shows it, and nobody changes it then. */
final class Screen implements Cloneable {
    enum Phase {
        LOADING,
        /** There is no model: nothing can be done. */
        BROKEN,
        IDLE,
        LISTENING,
        ENROLLING
    }

    private static final double NO_LEVEL = -100;

    Phase phase = Phase.LOADING;
    /** Of the last 20 ms. */
    double levelDbfs = NO_LEVEL;
    /** Of the last window; empty in silence. */
    float[] embedding = {};
    /** To the last windows; null without one. */
    Recognizer.Answer answer;
    /** Share of the speech that is wanted of a new voice, in [0, 1]. */
    double enrolled;
    /** Who is known. */
    List<HeadState.Person> people = List.of();
    /** Whether the head has been trained on them. */
    boolean trained;
    /** Share of the training that is done, in [0, 1]; negative when none runs. */
    float training = -1;
    /** Of the last training; NaN when there was none since the start. */
    float loss = Float.NaN;
    /** Something to tell; null without. */
    Notice notice;
    /** The model's name. */
    String about = "";

    boolean recording() {
        return phase == Phase.LISTENING || phase == Phase.ENROLLING;
    }

    void enter(Phase next) {
        phase = next;
        enrolled = 0;
        if (!recording()) {
            levelDbfs = NO_LEVEL;
            embedding = new float[0];
            answer = null;
        }
    }

    void know(HeadState state) {
        people = state.people();
        trained = state.trained();
    }

    @Override
    public Screen clone() {
        try {
            return (Screen) super.clone();
        } catch (CloneNotSupportedException error) {
            throw new AssertionError(error);
        }
    }
}
