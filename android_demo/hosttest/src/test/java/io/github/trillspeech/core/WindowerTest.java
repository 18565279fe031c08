package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class WindowerTest {
    private static short[] ramp(int from, int count) {
        short[] samples = new short[count];
        for (int i = 0; i < count; i++) {
            samples[i] = (short) (from + i + 1);
        }
        return samples;
    }

    @Test
    void anyChunksGiveTheWindowsOfTheWhole() {
        Random random = new Random(2);
        for (int run = 0; run < 3000; run++) {
            int count = 1 + random.nextInt(120);
            int window = 1 + random.nextInt(20);
            int hop = 1 + random.nextInt(30);
            short[] sound = ramp(0, count);
            Windower windower = new Windower(window, hop, 1000);
            List<Windower.Window> got = new ArrayList<>();
            for (int start = 0; start < count; ) {
                int taken = Math.min(count - start, random.nextInt(25));
                got.addAll(windower.push(Arrays.copyOfRange(sound, start, start + 30), taken, start));
                start += taken;
            }
            got.addAll(windower.finish());
            List<Long> starts = FramingTest.starts(count, window, hop);
            assertEquals(starts, got.stream().map(Windower.Window::start).toList());
            float[] clip = Pcm.toFloat(sound, count);
            for (int i = 0; i < got.size(); i++) {
                float[] expected = new float[window];
                for (int j = 0; j < window && starts.get(i) + j < count; j++) {
                    expected[j] = clip[(int) (starts.get(i) + j)];
                }
                assertArrayEquals(expected, got.get(i).samples());
                assertEquals(starts.get(i), got.get(i).timestampMs()); // at 1 kHz
            }
            assertEquals(List.of(), windower.finish());
        }
    }

    @Test
    void aGapStartsANewRecordingAtItsPlace() {
        Windower windower = new Windower(4, 4, 1000);
        assertEquals(1, windower.push(ramp(0, 6), 6, 0).size());
        assertEquals(List.of(), windower.push(ramp(100, 3), 3, 100));
        List<Windower.Window> windows = windower.push(ramp(103, 1), 1, 103);
        assertEquals(100, windows.get(0).start());
        assertArrayEquals(Pcm.toFloat(ramp(100, 4), 4), windows.get(0).samples());
    }

    @Test
    void oneSampleLostIsAGap() {
        Windower windower = new Windower(4, 4, 1000);
        windower.push(ramp(0, 3), 3, 0);
        assertEquals(4, windower.push(ramp(4, 4), 4, 4).get(0).start());
    }

    @Test
    void countsBeyondWhatAnIntHolds() {
        long start = 3L * Integer.MAX_VALUE; // 4.6 days at 16 kHz
        Windower windower = new Windower(5, 3, 16_000);
        List<Windower.Window> windows = windower.push(ramp(0, 8), 8, start);
        assertEquals(List.of(start, start + 3), windows.stream().map(Windower.Window::start).toList());
        assertArrayEquals(Pcm.toFloat(ramp(3, 5), 5), windows.get(1).samples());
        assertEquals(start * 1000 / 16_000, windows.get(0).timestampMs());
    }

    @Test
    void saysWhatItTakes() {
        assertThrows(IllegalArgumentException.class, () -> new Windower(0, 1, 1));
        assertThrows(IllegalArgumentException.class, () -> new Windower(1, 0, 1));
        assertThrows(IllegalArgumentException.class, () -> new Windower(1, 1, 0));
        Windower windower = new Windower(4, 4, 1000);
        windower.push(ramp(0, 6), 6, 0);
        String message = assertThrows(
                IllegalArgumentException.class, () -> windower.push(ramp(0, 6), 6, 5)).getMessage();
        assertTrue(message.contains("got position 5 after 6"), message);
    }
}
