package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import io.github.trillspeech.core.Enroller.State;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EnrollerTest {
    private static final int RATE = 1000;
    private static final short[] SPEECH = Vectors.noise(100, 7, 4);
    private static final short[] PAUSE = Vectors.noise(100, 8, 4096);

    private static State push(Enroller enroller, short[] chunk, int times) {
        State state = enroller.state();
        for (int i = 0; i < times; i++) {
            state = enroller.push(chunk, chunk.length);
        }
        return state;
    }

    @Test
    void collectsSpeechFromItsFirstChunkOn() {
        Enroller enroller = new Enroller(RATE, 2);
        assertEquals(State.WAITING, push(enroller, PAUSE, 20));
        assertEquals(0, enroller.progress());
        assertEquals(State.COLLECTING, push(enroller, SPEECH, 10));
        assertEquals(State.COLLECTING, push(enroller, PAUSE, 5)); // a pause belongs to speech, but does not count
        assertEquals(0.5, enroller.progress());
        assertEquals(State.DONE, push(enroller, SPEECH, 10));
        float[] clip = enroller.clip();
        assertEquals(2500, clip.length);
        assertEquals(SPEECH[0] / 32768f, clip[0]);
        assertEquals(PAUSE[0] / 32768f, clip[1000]);
        assertEquals(SPEECH[99] / 32768f, clip[2499]);
        assertEquals(State.DONE, push(enroller, SPEECH, 10));
        assertArrayEquals(clip, enroller.clip());
    }

    @Test
    void refusesSilence() {
        Enroller enroller = new Enroller(RATE, 1);
        assertEquals(State.WAITING, push(enroller, PAUSE, 39));
        assertEquals(State.TOO_QUIET, push(enroller, PAUSE, 1));
        assertEquals(State.TOO_QUIET, push(enroller, SPEECH, 100));
        String message = assertThrows(IllegalStateException.class, enroller::clip).getMessage();
        assertTrue(message.contains("got TOO_QUIET"), message);
    }

    @Test
    void aWordNowAndThenIsNotEnough() {
        Enroller enroller = new Enroller(RATE, 1);
        for (int i = 0; i < 8; i++) {
            push(enroller, SPEECH, 1);
            push(enroller, PAUSE, 4);
        }
        assertEquals(State.TOO_QUIET, enroller.state());
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, -1, 31, Double.NaN})
    void saysWhatItTakes(double seconds) {
        assertThrows(IllegalArgumentException.class, () -> new Enroller(RATE, seconds));
    }
}
