package io.github.trillspeech.core;

import io.github.trillspeech.core.MicrophoneException.Reason;

/** The recorder's thread: a microphone's samples into a {@link RingBuffer}, until {@link #stop}. */
public final class Capture implements Runnable {
    /** In seconds: a live microphone gives some noise within them, one that is cut off none. Our choice. */
    static final int ZEROS_SECONDS = 2;

    /** Told on the recorder's thread. */
    public interface Listener {
        /** A chunk has come; {@code levelDbfs} as {@link Pcm#levelDbfs}. */
        void onLevel(double levelDbfs);

        /** It is over: {@code error} says why, or is null after {@link #stop} or the end of the sound. */
        void onEnd(MicrophoneException error);
    }

    private final AudioSource source;
    private final RingBuffer ring;
    private final int sampleRate;
    private final Listener listener;
    private volatile boolean stopped;

    /**
     * @param source opened and closed here.
     * @param ring closed at the end.
     * @param sampleRate in Hz.
     */
    public Capture(AudioSource source, RingBuffer ring, int sampleRate, Listener listener) {
        this.source = source;
        this.ring = ring;
        this.sampleRate = sampleRate;
        this.listener = listener;
    }

    @Override
    public void run() {
        MicrophoneException error = null;
        try {
            source.open();
            record();
        } catch (MicrophoneException failure) {
            error = stopped ? null : failure; // closing under a read looks like a loss
        } finally {
            source.close();
            ring.close();
        }
        listener.onEnd(error);
    }

    /** Ends the recording from any thread. */
    public void stop() {
        stopped = true;
        source.close();
    }

    private void record() throws MicrophoneException {
        short[] chunk = new short[Math.max(1, sampleRate / 50)]; // 20 ms
        long zeros = 0;
        while (!stopped) {
            int count = source.read(chunk);
            if (count < 0) {
                return;
            }
            if (count == 0 && !stopped) {
                throw new MicrophoneException(
                        Reason.LOST, "a microphone waits for samples, got none. Start the recording again.");
            }
            ring.write(chunk, count);
            listener.onLevel(Pcm.levelDbfs(chunk, count));
            zeros = allZero(chunk, count) ? zeros + count : 0;
            if (zeros >= (long) ZEROS_SECONDS * sampleRate) {
                throw new MicrophoneException(Reason.ZEROS, "a microphone gives some noise, got " + ZEROS_SECONDS
                        + " s of zeros. Switch microphone access on, end calls, and start again.");
            }
        }
    }

    private static boolean allZero(short[] chunk, int count) {
        for (int i = 0; i < count; i++) {
            if (chunk[i] != 0) {
                return false;
            }
        }
        return true;
    }
}
