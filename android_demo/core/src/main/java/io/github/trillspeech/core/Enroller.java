package io.github.trillspeech.core;

/** Collects a few seconds of someone's speech; silence does not count. */
public final class Enroller {
    /** Waits so many times the wanted length before it gives up. */
    private static final int PATIENCE = 4;

    /** How it goes. */
    public enum State {
        /** Nobody has spoken yet. */
        WAITING,
        /** Someone speaks. */
        COLLECTING,
        /** Enough: {@link Enroller#clip} has it. */
        DONE,
        /** Time is up without enough speech: there is no clip. */
        TOO_QUIET
    }

    private final int wanted;
    private final short[] clip; // from the first speech on, pauses included
    private int length;
    private long heard; // samples in all
    private long spoken; // of those, with speech
    private State state = State.WAITING;

    /**
     * @param sampleRate in Hz.
     * @param seconds of speech to collect, in [1, 30]; three to five do.
     * @throws IllegalArgumentException if seconds are out of range.
     */
    public Enroller(int sampleRate, double seconds) {
        if (!(seconds >= 1 && seconds <= 30)) {
            throw new IllegalArgumentException("seconds must be in [1, 30], got " + seconds + ". Three to five do.");
        }
        wanted = (int) (seconds * sampleRate);
        clip = new short[PATIENCE * wanted];
    }

    /** Takes the first {@code count} samples of a short chunk, 20 to 200 ms. */
    public State push(short[] pcm, int count) {
        if (state == State.DONE || state == State.TOO_QUIET) {
            return state;
        }
        heard += count;
        if (!Pcm.isSilent(pcm, count)) {
            spoken += count;
            state = State.COLLECTING;
        }
        if (state == State.COLLECTING) {
            int room = Math.min(count, clip.length - length);
            System.arraycopy(pcm, 0, clip, length, room);
            length += room;
        }
        if (spoken >= wanted) {
            state = State.DONE;
        } else if (heard >= clip.length) {
            state = State.TOO_QUIET;
        }
        return state;
    }

    public State state() {
        return state;
    }

    /** Share of the speech collected, in [0, 1]. */
    public double progress() {
        return Math.min(1, (double) spoken / wanted);
    }

    /**
     * What was said, in [-1, 1], pauses included.
     *
     * @throws IllegalStateException if it is not {@link State#DONE}.
     */
    public float[] clip() {
        if (state != State.DONE) {
            throw new IllegalStateException(
                    "a clip is there when enough was said, got " + state + ". Push more sound.");
        }
        return Pcm.toFloat(clip, length);
    }
}
