package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class PcmTest {
    private static short[] square(int level, int count) {
        short[] samples = new short[count];
        for (int i = 0; i < count; i++) {
            samples[i] = (short) (i % 2 == 0 ? level : -level);
        }
        return samples;
    }

    @Test
    void samplesAreDividedBy32768() {
        assertArrayEquals(new float[] {-1, 0, 32767 / 32768f},
                Pcm.toFloat(new short[] {-32768, 0, 32767, 5}, 3));
    }

    @Test
    void levelsAreThoseOfTheTextbook() {
        assertEquals(-20 * Math.log10(2), Pcm.levelDbfs(square(16_384, 100), 100), 1e-9);
        short[] sine = new short[16_000];
        for (int i = 0; i < sine.length; i++) {
            sine[i] = (short) Math.round(32_767 * Math.sin(2 * Math.PI * 440 * i / 16_000));
        }
        assertEquals(-3.01, Pcm.levelDbfs(sine, sine.length), 0.01);
        short[] loudest = new short[10];
        Arrays.fill(loudest, Short.MIN_VALUE);
        assertEquals(0, Pcm.levelDbfs(loudest, 10));
        assertEquals(Pcm.levelDbfs(sine, 500), Pcm.levelDbfs(Pcm.toFloat(sine, 500)), 1e-9);
    }

    @Test
    void silenceIsANumber() {
        assertEquals(Pcm.SILENCE_DBFS, Pcm.levelDbfs(new short[5], 5));
        assertEquals(Pcm.SILENCE_DBFS, Pcm.levelDbfs(new short[5], 0));
        assertEquals(Pcm.SILENCE_DBFS, Pcm.levelDbfs(new float[0]));
        assertEquals(-90.3, Pcm.SILENCE_DBFS, 0.01);
    }

    @Test
    void quietIsSilent() {
        assertTrue(Pcm.isSilent(square(100, 320), 320)); // -50.3 dB
        assertFalse(Pcm.isSilent(square(110, 320), 320)); // -49.5 dB
        assertTrue(Pcm.isSilent(Pcm.toFloat(square(100, 320), 320)));
        assertFalse(Pcm.isSilent(Pcm.toFloat(square(110, 320), 320)));
    }
}
