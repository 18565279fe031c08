package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.util.List;
import org.junit.jupiter.api.Test;

class CosineScorerTest {
    @Test
    void cosinesAreThoseOfTheTextbook() {
        assertEquals(Math.sqrt(0.5), CosineScorer.cosine(new float[] {1, 1}, new float[] {7, 0}), 1e-12);
        assertEquals(-1, CosineScorer.cosine(new float[] {1, 2}, new float[] {-2, -4}), 1e-12);
        assertEquals(0, CosineScorer.cosine(new float[] {0, 0}, new float[] {1, 2}));
        float[] large = {1e30f, 1e30f};
        assertEquals(1, CosineScorer.cosine(large, large), 1e-12);
    }

    @Test
    void unitVectors() {
        assertArrayEquals(new float[] {0.6f, 0.8f}, CosineScorer.unit(new float[] {3, 4}), 1e-7f);
        assertArrayEquals(new float[2], CosineScorer.unit(new float[2]));
    }

    @Test
    void loudClipsWeighNoMoreInACentroid() {
        float[] centroid = CosineScorer.centroid(List.of(new float[] {100, 0}, new float[] {0, 1}));
        assertArrayEquals(new float[] {(float) Math.sqrt(0.5), (float) Math.sqrt(0.5)}, centroid, 1e-6f);
    }

    @Test
    void saysWhatItTakes() {
        String message = assertThrows(IllegalArgumentException.class,
                () -> CosineScorer.cosine(new float[2], new float[3])).getMessage();
        assertTrue(message.contains("got 2 and 3"), message);
        assertThrows(IllegalArgumentException.class, () -> CosineScorer.centroid(List.of()));
        assertThrows(IllegalArgumentException.class,
                () -> CosineScorer.centroid(List.of(new float[2], new float[3])));
    }
}
