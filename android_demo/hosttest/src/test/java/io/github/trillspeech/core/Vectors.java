package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** What make_vectors.py wrote: models, sounds, and what Python makes of them. */
final class Vectors {
    private Vectors() {}

    static byte[] bytes(String name) {
        Path folder = Path.of(System.getProperty("trill.vectors", ""));
        assumeTrue(Files.exists(folder.resolve("vectors.json")), "no vectors: run make_vectors.py");
        try {
            return Files.readAllBytes(folder.resolve(name));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    static Map<?, ?> json(String name) {
        return (Map<?, ?>) Json.parse(new String(bytes(name), StandardCharsets.UTF_8));
    }

    static short[] pcm(String name) {
        byte[] bytes = bytes(name);
        short[] samples = new short[bytes.length / 2];
        for (int i = 0; i < samples.length; i++) {
            samples[i] = (short) ((bytes[2 * i] & 0xff) | bytes[2 * i + 1] << 8);
        }
        return samples;
    }

    static float[] floats(Object list) {
        List<?> values = (List<?>) list;
        float[] floats = new float[values.size()];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = ((Double) values.get(i)).floatValue();
        }
        return floats;
    }

    static long[] longs(Object list) {
        return ((List<?>) list).stream().mapToLong(value -> ((Double) value).longValue()).toArray();
    }

    static int integer(Object value) {
        return ((Double) value).intValue();
    }

    /** The waveform of a golden case, as docs/on-device.md says of each kind. */
    static short[] samples(Map<?, ?> waveform) {
        if (waveform.get("kind").equals("int16")) {
            long[] listed = longs(waveform.get("samples"));
            short[] samples = new short[listed.length];
            for (int i = 0; i < samples.length; i++) {
                samples[i] = (short) listed[i];
            }
            return samples;
        }
        int count = integer(waveform.get("num_samples"));
        if (waveform.get("kind").equals("noise")) {
            return noise(count, integer(waveform.get("seed")), integer(waveform.get("divisor")));
        }
        short[] samples = new short[count];
        int half = integer(waveform.get("half_period"));
        int level = integer(waveform.get("level"));
        for (int i = 0; i < count; i++) {
            samples[i] = (short) (i / half % 2 == 0 ? level : -level);
        }
        return samples;
    }

    static short[] noise(int count, int seed, int divisor) {
        short[] samples = new short[count];
        int state = seed;
        for (int i = 0; i < count; i++) {
            state = 1664525 * state + 1013904223;
            samples[i] = (short) (((state >>> 16) - 32768) / divisor);
        }
        return samples;
    }

    /** Of a value, over the largest value: what a golden file's tolerance bounds. */
    static double largestDifference(float[] got, float[] expected) {
        double difference = 0;
        double largest = 0;
        for (int i = 0; i < expected.length; i++) {
            difference = Math.max(difference, Math.abs((double) got[i] - expected[i]));
            largest = Math.max(largest, Math.abs(expected[i]));
        }
        return got.length == expected.length ? difference / largest : Double.NaN;
    }
}
