package io.github.trillspeech.core;

import static io.github.trillspeech.core.Vectors.floats;
import static io.github.trillspeech.core.Vectors.integer;
import static io.github.trillspeech.core.Vectors.largestDifference;
import static org.junit.jupiter.api.Assertions.*;

import io.github.trillspeech.core.RingBuffer.Chunk;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The core on real model files, against what Python makes of them. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class RealModelTest {
    private static final double TOLERANCE = 1e-5;

    private final List<HostSignatures> open = new ArrayList<>();

    private ModelEmbedder embedder(String name, String signature, boolean l2Normalize) {
        return new ModelEmbedder(load(name), card(name), signature, l2Normalize);
    }

    private HostSignatures load(String name) {
        open.add(new HostSignatures(Vectors.bytes(name)));
        return open.get(open.size() - 1);
    }

    private static ModelCard card(String name) {
        return ModelFile.read(ByteBuffer.wrap(Vectors.bytes(name))).card();
    }

    @AfterAll
    void close() {
        open.forEach(HostSignatures::close);
    }

    @ParameterizedTest
    @CsvSource({"packaged, serving_default", "personal, embed"})
    void embeddingsAreThoseOfPython(String name, String signature) {
        Map<?, ?> golden = Vectors.json(name + ".json");
        ModelEmbedder embedder = embedder(name + ".tflite", signature, false);
        assertEquals(((Map<?, ?>) golden.get("model")).get("sha256"), embedder.modelHash());
        assertEquals(integer(golden.get("window_samples")), embedder.windowSamples());
        assertEquals(integer(golden.get("hop_samples")), embedder.hopSamples());
        assertEquals(integer(golden.get("sample_rate")), embedder.sampleRate());
        double largest = 0;
        for (Object each : (List<?>) golden.get("cases")) {
            Map<?, ?> one = (Map<?, ?>) each;
            short[] pcm = Vectors.samples((Map<?, ?>) one.get("waveform"));
            float[] got = embedder.embedClip(Pcm.toFloat(pcm, pcm.length)).values();
            double difference = largestDifference(got, floats(one.get("embedding")));
            assertTrue(difference <= TOLERANCE, one.get("name") + ": " + difference);
            largest = Math.max(largest, difference);
        }
        System.out.printf(
                "figure: %s embeddings differ from Python's by at most %.2g of the largest value%n", name, largest);
    }

    @Test
    void streamGivesTheWindowsOfTheClip() {
        ModelEmbedder embedder = embedder("packaged.tflite", ModelEmbedder.PLAIN, false);
        short[] pcm = Vectors.pcm("ben_calm.pcm");
        Windower windower = Windower.of(embedder);
        List<Windower.Window> windows = new ArrayList<>();
        short[] chunk = new short[320];
        for (int start = 0; start < pcm.length; start += chunk.length) {
            int count = Math.min(chunk.length, pcm.length - start);
            System.arraycopy(pcm, start, chunk, 0, count);
            windows.addAll(windower.push(chunk, count, start));
        }
        windows.addAll(windower.finish());
        double[] sum = new double[embedder.dimension()];
        for (Windower.Window window : windows) {
            Embedding embedding = embedder.embed(window.samples(), window.timestampMs());
            assertEquals(window.timestampMs(), embedding.timestampMs());
            for (int i = 0; i < sum.length; i++) {
                sum[i] += embedding.values()[i];
            }
        }
        float[] mean = new float[sum.length];
        for (int i = 0; i < sum.length; i++) {
            mean[i] = (float) (sum[i] / windows.size());
        }
        assertArrayEquals(embedder.embedClip(Pcm.toFloat(pcm, pcm.length)).values(), mean);
    }

    @Test
    void embeddingsOfLengthOne() {
        float[] clip = Pcm.toFloat(Vectors.pcm("anna_calm.pcm"), 20_000);
        float[] plain = embedder("packaged.tflite", ModelEmbedder.PLAIN, false).embedClip(clip).values();
        float[] scaled = embedder("packaged.tflite", ModelEmbedder.PLAIN, true).embedClip(clip).values();
        assertArrayEquals(CosineScorer.unit(plain), scaled);
    }

    @Test
    void refusesWindowsOfAnotherLengthAndOtherFiles() {
        ModelEmbedder embedder = embedder("packaged.tflite", ModelEmbedder.PLAIN, false);
        String message = assertThrows(
                        IllegalArgumentException.class, () -> embedder.embed(new float[100], 0)).getMessage();
        assertTrue(message.contains("got 100"), message);
        assertThrows(IllegalArgumentException.class, () -> embedder.embedClip(new float[0]));
        assertThrows(IllegalArgumentException.class, () -> new ModelHead(load("packaged.tflite")));
        assertThrows(ModelException.class, () -> new HostSignatures(new byte[100]));
        ModelCard other = card("packaged.tflite");
        ModelCard wrong = new ModelCard("x", "1", 16_000, other.windowSamples() + 1, 1, other.dimension(), "");
        assertThrows(ModelException.class,
                () -> new ModelEmbedder(load("packaged.tflite"), wrong, ModelEmbedder.PLAIN, false));
    }

    /** Embeddings of step {@code step} as make_vectors.py makes them. */
    static float[][] lesson(int step, int count, int dimension) {
        short[] noise = Vectors.noise(count * dimension, 1000 + step, 1);
        float[][] rows = new float[count][dimension];
        for (int i = 0; i < noise.length; i++) {
            rows[i / dimension][i % dimension] = noise[i] / 32768f;
        }
        return rows;
    }

    @Test
    void trainingIsThatOfPythonAndOfTheDefinition() {
        Map<?, ?> expected = (Map<?, ?>) Vectors.json("vectors.json").get("training");
        ModelHead head = new ModelHead(load("personal.tflite"));
        SlowHead slow = new SlowHead(head.numClasses(), head.batch(), head.dimension());
        int active = integer(expected.get("active"));
        HeadWeights start = HeadWeights.zeros(head.numClasses(), head.dimension());
        Arrays.fill(start.active(), 0, active, 1);
        head.setWeights(start);
        slow.setWeights(start);
        float[] losses = floats(expected.get("losses"));
        double largest = 0;
        double largestSlow = 0;
        for (int step = 0; step < losses.length; step++) {
            int count = 1 + step % head.batch();
            int[] rows = new int[count];
            for (int i = 0; i < count; i++) {
                rows[i] = (step + i) % active;
            }
            float[][] embeddings = lesson(step, count, head.dimension());
            float loss = head.train(embeddings, rows, HeadTrainer.Rates.STABLE);
            largest = Math.max(largest, Math.abs(loss - losses[step]));
            largestSlow = Math.max(largestSlow, Math.abs(
                    loss - slow.train(embeddings, rows, HeadTrainer.Rates.STABLE)));
        }
        HeadWeights found = head.getWeights();
        double weights = largestDifference(found.weights(), floats(expected.get("weights")));
        HeadTrainer.Inference inference = head.infer(lesson(999, 1, head.dimension())[0]);
        double probabilities = largestDifference(inference.probabilities(), floats(expected.get("probabilities")));
        System.out.printf("figure: training differs from Python's by %.2g in losses, %.2g in weights, %.2g in "
                + "probabilities; losses from the definition in float64 by %.2g%n",
                largest, weights, probabilities, largestSlow);
        for (double difference : new double[] {largest, weights, probabilities, largestSlow}) {
            assertTrue(difference <= TOLERANCE);
        }
        assertTrue(largestDifference(found.bias(), floats(expected.get("bias"))) <= TOLERANCE);
        assertEquals(0, inference.probabilities()[active]);
        assertEquals(losses.length, 50);
        assertTrue(losses[0] > 1);
    }

    @Test
    void weightsComeBackToTheLastBit() {
        ModelHead head = new ModelHead(load("personal.tflite"));
        HeadWeights start = HeadWeights.zeros(head.numClasses(), head.dimension());
        Arrays.fill(start.active(), 1);
        head.setWeights(start);
        for (int step = 0; step < 5; step++) {
            head.train(lesson(step, 2, head.dimension()), new int[] {0, 1}, HeadTrainer.Rates.STABLE);
        }
        HeadWeights learned = head.getWeights();
        ModelHead other = new ModelHead(load("personal.tflite"));
        other.setWeights(learned);
        float next = head.train(lesson(9, 2, head.dimension()), new int[] {1, 0}, HeadTrainer.Rates.STABLE);
        assertEquals(next, other.train(lesson(9, 2, head.dimension()), new int[] {1, 0}, HeadTrainer.Rates.STABLE));
        assertArrayEquals(head.getWeights().weights(), other.getWeights().weights());
        assertArrayEquals(head.getWeights().weightsVelocity(), other.getWeights().weightsVelocity());
        assertFalse(Arrays.equals(learned.weights(), other.getWeights().weights()));
    }

    /**
     * The whole path, from a recorder's chunks to names, over a restart of the app. What is heard begins with what was
     * enrolled: this tests the path; how good a model is, hosttest/threshold.py and noss tell.
     */
    @Test
    void knowsAfterARestartWhatItWasTaught(@TempDir Path folder) throws Exception {
        List<String> names = List.of("anna", "ben", "chloe", "dieter");
        HeadStore store = new HeadStore(folder.resolve("people.trhs"));
        HeadState saved;
        {
            HostSignatures model = load("personal.tflite");
            ModelEmbedder embedder = new ModelEmbedder(model, card("personal.tflite"), ModelEmbedder.PERSONAL, true);
            PersonalHead head = new PersonalHead(new ModelHead(model), embedder.modelHash());
            for (String name : names) {
                head.add(name, embedder.embedClip(enrolled(name + "_calm.pcm", embedder.sampleRate())).values());
            }
            float loss = head.train((step, steps, now) -> {});
            assertTrue(loss < Math.log(names.size()), "loss " + loss);
            saved = head.state();
            store.save(saved);
        }
        HostSignatures model = load("personal.tflite");
        ModelEmbedder embedder = new ModelEmbedder(model, card("personal.tflite"), ModelEmbedder.PERSONAL, true);
        ModelHead trainer = new ModelHead(model);
        PersonalHead head = new PersonalHead(trainer, embedder.modelHash());
        head.restore(store.load(embedder.modelHash(), trainer.numClasses(), trainer.dimension()));
        assertArrayEquals(saved.weights().weights(), trainer.getWeights().weights());
        int right = 0;
        for (String name : names) {
            Recognizer recognizer = new Recognizer(head, 0, Recognizer.DEFAULT_WINDOWS);
            Recognizer.Answer answer = last(Vectors.pcm(name + "_calm.pcm"), embedder, recognizer);
            assertTrue(answer.byHead());
            right += answer.label().equals(name) ? 1 : 0;
            System.out.printf("%s heard as %s, score %.2f, similarity %.3f%n", name, answer.label(),
                    answer.scores().stream().mapToDouble(Recognizer.Score::score).max().orElse(0), answer.similarity());
        }
        assertEquals(names.size(), right);
    }

    private static float[] enrolled(String name, int sampleRate) {
        Enroller enroller = new Enroller(sampleRate, 1);
        short[] pcm = Vectors.pcm(name);
        for (int start = 0; enroller.state() != Enroller.State.DONE; start += 320) {
            enroller.push(Arrays.copyOfRange(pcm, start, start + 320), 320);
        }
        return enroller.clip();
    }

    private static Recognizer.Answer last(short[] pcm, ModelEmbedder embedder, Recognizer recognizer) throws Exception {
        RingBuffer ring = new RingBuffer(2 * embedder.sampleRate());
        CaptureTest.Sound sound = new CaptureTest.Sound(pcm);
        CaptureTest.Log log = new CaptureTest.Log();
        // A file gives samples faster than any microphone: the reader sets the pace.
        sound.before = () -> {
            while (ring.written() - sound.taken > embedder.sampleRate()) {
                Thread.onSpinWait();
            }
        };
        Thread recorder = new Thread(new Capture(sound, ring, embedder.sampleRate(), log));
        recorder.start();
        Windower windower = Windower.of(embedder);
        Recognizer.Answer answer = null;
        short[] chunk = new short[1024];
        for (Chunk read = ring.read(chunk, 1000); read.count() >= 0; read = ring.read(chunk, 1000)) {
            sound.taken = read.position() + read.count();
            for (Windower.Window window : windower.push(chunk, read.count(), read.position())) {
                Embedding embedding = embedder.embed(window.samples(), window.timestampMs());
                answer = recognizer.push(embedding, Pcm.isSilent(window.samples()));
            }
        }
        recorder.join();
        assertEquals(0, ring.dropped());
        assertNotNull(answer);
        return answer;
    }
}
