package io.github.trillspeech.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;

import io.github.trillspeech.core.Framing;
import io.github.trillspeech.core.HeadTrainer;
import io.github.trillspeech.core.ModelException;
import io.github.trillspeech.core.PersonalHead;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.Random;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/**
 * The packaged model in the packaged runtime, through the classes the app uses.
 *
 * <p>One API level: a native library is loaded by one class loader only, and Robolectric makes one a level.
 */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE) // that of PicturesTest, to share its class loader
@Config(sdk = 35)
public final class ModelTest {
    private static SpeechModel model;

    /** Skips where the runtime is not built for this machine: tools/host/build.sh. */
    static void needRuntime() {
        assumeTrue(new File(System.getProperty("java.library.path"), "libtensorflowlite_jni.so").exists());
    }

    @Before
    public void open() {
        needRuntime();
        if (model == null) {
            model = SpeechModel.open(RuntimeEnvironment.getApplication());
        }
    }

    @Test
    public void embedsAsPythonDoes() throws Exception {
        File file = new File(System.getProperty("trill.golden"));
        assumeTrue("scripts/make_golden.py has written " + file, file.exists());
        JSONObject golden = new JSONObject(Files.readString(file.toPath()));
        assertEquals(model.card().sha256(), golden.getJSONObject("model").getString("sha256"));
        JSONArray cases = golden.getJSONArray("cases");
        for (int i = 0; i < cases.length(); i++) {
            JSONObject expected = cases.getJSONObject(i);
            float[] found = model.embedder().embedClip(samples(expected.getJSONObject("waveform"))).values();
            JSONArray values = expected.getJSONArray("embedding");
            double largest = 0;
            double difference = 0;
            for (int j = 0; j < found.length; j++) {
                largest = Math.max(largest, Math.abs(values.getDouble(j)));
                difference = Math.max(difference, Math.abs(values.getDouble(j) - found[j]));
            }
            System.out.printf("%s: %.1e of the largest value%n", expected.getString("name"), difference / largest);
            assertTrue(expected.getString("name"), difference / largest <= golden.getDouble("tolerance"));
        }
    }

    @Test
    public void learnsAndComesBackToTheLastBit() throws Exception {
        PersonalHead head = new PersonalHead(model.head(), model.card().sha256());
        float[] ada = noise(1);
        float[] ben = noise(2);
        head.add("Ada", ada);
        head.add("Ben", ben);
        float loss = head.train((step, steps, now) -> {});
        assertTrue("loss " + loss, loss < 0.3);
        HeadTrainer.Inference trained = head.infer(ada);
        assertTrue(trained.probabilities()[0] > 0.7);
        assertTrue(head.infer(ben).probabilities()[1] > 0.7);

        PersonalHead other = new PersonalHead(model.head(), model.card().sha256());
        other.forgetAll();
        other.restore(head.state());
        assertArrayEquals(trained.probabilities(), other.infer(ada).probabilities(), 0f);
    }

    @Test
    public void theSameWindowGivesTheSameEmbeddingWhateverCameBefore() {
        float[] window = Framing.window(noise(16_000, 3), 0, model.card().windowSamples(), model.card().hopSamples());
        float[] once = model.embedder().embed(window, 0).values();
        model.embedder().embed(new float[window.length], 0);
        assertArrayEquals(once, model.embedder().embed(window, 0).values(), 0f);
    }

    @Test
    public void saysWhatItTakes() {
        ByteBuffer noModel = ByteBuffer.allocateDirect(100);
        assertThrows(ModelException.class, () -> new TfliteSignatures(noModel));
        assertThrows(IllegalArgumentException.class, () -> model.embedder().embed(new float[3], 0));
    }

    /** As docs/on-device.md describes the golden vectors. */
    private static float[] samples(JSONObject waveform) throws Exception {
        int count = waveform.optInt("num_samples");
        float[] samples;
        switch (waveform.getString("kind")) {
            case "int16" -> {
                JSONArray listed = waveform.getJSONArray("samples");
                samples = new float[listed.length()];
                for (int i = 0; i < samples.length; i++) {
                    samples[i] = listed.getInt(i) / 32768f;
                }
            }
            case "square" -> {
                samples = new float[count];
                for (int i = 0; i < count; i++) {
                    int sign = i / waveform.getInt("half_period") % 2 == 0 ? 1 : -1;
                    samples[i] = sign * waveform.getInt("level") / 32768f;
                }
            }
            default -> {
                samples = new float[count];
                long state = waveform.getLong("seed");
                for (int i = 0; i < count; i++) {
                    state = (1664525 * state + 1013904223) % (1L << 32);
                    samples[i] = (int) (state / 65536 - 32768) / waveform.getInt("divisor") / 32768f;
                }
            }
        }
        return samples;
    }

    private static float[] noise(long seed) {
        return noise(model.card().dimension(), seed);
    }

    private static float[] noise(int length, long seed) {
        Random random = new Random(seed);
        float[] noise = new float[length];
        for (int i = 0; i < length; i++) {
            noise[i] = (float) (0.1 * random.nextGaussian());
        }
        return noise;
    }
}
