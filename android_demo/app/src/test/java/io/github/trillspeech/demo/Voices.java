package io.github.trillspeech.demo;

import android.media.AudioRecord;
import org.robolectric.shadows.ShadowAudioRecord;

/** What the microphone of the tests hears, faster than it was said: a tone a person, or a clip again and again. */
final class Voices implements ShadowAudioRecord.AudioRecordSource {
    private static final int RATE = 16_000;
    static final Voices MICROPHONE = new Voices();

    private volatile double hertz;
    private volatile short[] clip;
    private volatile int error;
    private long samples;

    /** @param hertz of the tone; 0 is a quiet room. */
    void speak(double hertz) {
        this.hertz = hertz;
        clip = null;
        error = 0;
    }

    /** @param pcm said over and over, at twice its pace: a model needs its time. */
    void speak(short[] pcm) {
        clip = pcm;
        error = 0;
    }

    /** @param code what AudioRecord returns from now on; 0 for sound. */
    void fail(int code) {
        error = code;
    }

    void plugIn() {
        speak(0);
        ShadowAudioRecord.setSource(this);
    }

    @Override
    public int readInShortArray(short[] into, int offset, int size, boolean blocking) {
        if (error != 0) {
            return error;
        }
        short[] said = clip;
        try {
            Thread.sleep(said == null ? 2 : 10);
        } catch (InterruptedException stopped) {
            return AudioRecord.ERROR_INVALID_OPERATION;
        }
        for (int i = 0; i < size; i++, samples++) {
            double tone = 8000 * Math.sin(2 * Math.PI * hertz * samples / RATE);
            short room = (short) (samples % 3); // a live microphone is never all zeros
            into[offset + i] = said != null ? said[(int) (samples % said.length)] : hertz == 0 ? room : (short) tone;
        }
        return size;
    }
}
