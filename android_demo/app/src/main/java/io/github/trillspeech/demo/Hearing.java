package io.github.trillspeech.demo;

import io.github.trillspeech.core.AudioSource;
import io.github.trillspeech.core.Capture;
import io.github.trillspeech.core.Embedding;
import io.github.trillspeech.core.MicrophoneException;
import io.github.trillspeech.core.Pcm;
import io.github.trillspeech.core.RingBuffer;
import io.github.trillspeech.core.SpeechEmbedder;
import io.github.trillspeech.core.Windower;

/**
 * One recording, from microphone to embeddings.
 *
 * <p>Two threads: one does nothing but record, so that no sample is lost; the other embeds.
 */
final class Hearing {
    private static final int RING_SECONDS = 2;
    private static final long WAIT_MS = 1000; // for sound; then again

    /** Told on the threads of the recording. */
    interface Listener {
        void onLevel(double levelDbfs);

        /** Each sample once, 20 ms at a time; the array is used again. */
        void onSound(short[] pcm, int count);

        /** Twice a window's length; {@code embedding} holds no numbers when nobody speaks. */
        void onWindow(Embedding embedding, boolean silent);

        /** The last call; {@code error} is null after {@link Hearing#stop}. */
        void onEnd(Exception error);
    }

    private final SpeechEmbedder embedder;
    private final RingBuffer ring;
    private final Capture capture;
    private final Listener listener;
    private volatile MicrophoneException lost;

    Hearing(AudioSource microphone, SpeechEmbedder embedder, Listener listener) {
        this.embedder = embedder;
        this.listener = listener;
        ring = new RingBuffer(RING_SECONDS * embedder.sampleRate());
        capture = new Capture(microphone, ring, embedder.sampleRate(), new Capture.Listener() {
            @Override
            public void onLevel(double levelDbfs) {
                listener.onLevel(levelDbfs);
            }

            @Override
            public void onEnd(MicrophoneException error) {
                lost = error;
            }
        });
    }

    void start() {
        Thread recorder = new Thread(capture, "recorder");
        recorder.start();
        new Thread(() -> listener.onEnd(hear(recorder)), "embedder").start();
    }

    /** Returns at once; {@link Listener#onEnd} says when it is over. */
    void stop() {
        capture.stop();
    }

    private Exception hear(Thread recorder) {
        Exception error = null;
        try {
            // Half a window: an answer every half second.
            Windower windower = new Windower(
                    embedder.windowSamples(), embedder.windowSamples() / 2, embedder.sampleRate());
            short[] pcm = new short[embedder.sampleRate() / 50];
            RingBuffer.Chunk chunk = ring.read(pcm, WAIT_MS);
            while (chunk.count() >= 0) {
                listener.onSound(pcm, chunk.count());
                for (Windower.Window window : windower.push(pcm, chunk.count(), chunk.position())) {
                    boolean silent = Pcm.isSilent(window.samples());
                    listener.onWindow(
                            silent
                                    ? new Embedding(new float[0], window.timestampMs())
                                    : embedder.embed(window.samples(), window.timestampMs()),
                            silent);
                }
                chunk = ring.read(pcm, WAIT_MS);
            }
            recorder.join();
        } catch (InterruptedException | RuntimeException failure) {
            capture.stop();
            error = failure;
        }
        return error != null ? error : lost;
    }
}
