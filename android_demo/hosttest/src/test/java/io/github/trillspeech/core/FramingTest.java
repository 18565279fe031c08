package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FramingTest {
    /** The rule by marking samples: whole windows; one more if half a hop (or window) of new sound would be in it. */
    static List<Long> starts(int samples, int window, int hop) {
        List<Long> starts = new ArrayList<>(List.of(0L));
        while (starts.get(starts.size() - 1) + hop + window <= samples) {
            starts.add(starts.get(starts.size() - 1) + hop);
        }
        boolean[] seen = new boolean[samples + window + hop];
        for (long start : starts) {
            for (int i = 0; i < window; i++) {
                seen[(int) Math.min(start + i, seen.length - 1)] = true;
            }
        }
        long next = starts.get(starts.size() - 1) + hop;
        int unseen = 0;
        for (long i = next; i < Math.min(samples, next + window); i++) {
            unseen += seen[(int) i] ? 0 : 1;
        }
        if (2 * unseen >= Math.min(hop, window)) {
            starts.add(next);
        }
        return starts;
    }

    @Test
    void isTheDefinition() {
        Random random = new Random(1);
        for (int run = 0; run < 20_000; run++) {
            int samples = 1 + random.nextInt(80);
            int window = 1 + random.nextInt(20);
            int hop = 1 + random.nextInt(30);
            assertEquals(starts(samples, window, hop).size(), Framing.numWindows(samples, window, hop),
                    samples + " " + window + " " + hop);
        }
    }

    @Test
    void isThatOfPython() {
        Map<?, ?> golden = Vectors.json("packaged.json");
        int window = Vectors.integer(golden.get("window_samples"));
        int hop = Vectors.integer(golden.get("hop_samples"));
        for (Object each : (List<?>) golden.get("framing")) {
            Map<?, ?> framing = (Map<?, ?>) each;
            int samples = Vectors.integer(framing.get("num_samples"));
            long[] expected = Vectors.longs(framing.get("window_starts"));
            assertEquals(expected.length, Framing.numWindows(samples, window, hop), samples + " samples");
            assertEquals(expected[expected.length - 1], (expected.length - 1L) * hop);
        }
    }

    @Test
    void padsTheEndWithZeros() {
        assertArrayEquals(new float[] {3, 4, 0}, Framing.window(new float[] {1, 2, 3, 4}, 1, 3, 2));
    }

    @ParameterizedTest
    @CsvSource({"0, 1, 1", "1, 0, 1", "1, 1, 0", "-1, 4, 4"})
    void saysWhatItTakes(int samples, int window, int hop) {
        String message = assertThrows(
                IllegalArgumentException.class, () -> Framing.numWindows(samples, window, hop)).getMessage();
        assertTrue(message.contains("must be positive, got " + samples), message);
    }
}
