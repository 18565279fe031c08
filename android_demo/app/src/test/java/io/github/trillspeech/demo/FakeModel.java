package io.github.trillspeech.demo;

import io.github.trillspeech.core.Embedding;
import io.github.trillspeech.core.HeadTrainer;
import io.github.trillspeech.core.HeadWeights;
import io.github.trillspeech.core.ModelCard;
import io.github.trillspeech.core.SpeechEmbedder;

/** A model in plain Java: the embedding is how much there is of each of a few tones, the head a softmax. */
final class FakeModel implements SpeechEmbedder, HeadTrainer {
    static final double[] TONES = {200, 400, 600, 900, 1300, 1900, 2700, 3800};
    private static final ModelCard CARD =
            new ModelCard("fake", "1", 16_000, 15_600, 15_360, TONES.length, "0123456789abcdef".repeat(4));
    private static final int CLASSES = 4;

    private HeadWeights head = HeadWeights.zeros(CLASSES, TONES.length);

    static SpeechModel make() {
        FakeModel model = new FakeModel();
        return new SpeechModel(CARD, model, model);
    }

    @Override
    public Embedding embed(float[] samples, long timestampMs) {
        float[] values = new float[TONES.length];
        for (int tone = 0; tone < values.length; tone++) {
            double sine = 0;
            double cosine = 0;
            for (int i = 0; i < samples.length; i++) {
                double angle = 2 * Math.PI * TONES[tone] * i / CARD.sampleRate();
                sine += samples[i] * Math.sin(angle);
                cosine += samples[i] * Math.cos(angle);
            }
            values[tone] = (float) (Math.hypot(sine, cosine) / samples.length);
        }
        return new Embedding(values, timestampMs);
    }

    @Override
    public Embedding embedClip(float[] samples) {
        return embed(samples, 0);
    }

    @Override
    public int windowSamples() {
        return CARD.windowSamples();
    }

    @Override
    public int hopSamples() {
        return CARD.hopSamples();
    }

    @Override
    public int sampleRate() {
        return CARD.sampleRate();
    }

    @Override
    public int dimension() {
        return TONES.length;
    }

    @Override
    public String modelHash() {
        return CARD.sha256();
    }

    @Override
    public int numClasses() {
        return CLASSES;
    }

    @Override
    public int batch() {
        return 8;
    }

    @Override
    public float train(float[][] embeddings, int[] rows, Rates rates) {
        float loss = 0;
        for (int i = 0; i < rows.length; i++) {
            float[] probabilities = infer(embeddings[i]).probabilities();
            loss -= (float) Math.log(probabilities[rows[i]]) / rows.length;
            for (int row = 0; row < CLASSES; row++) {
                float error = head.active()[row] * (probabilities[row] - (row == rows[i] ? 1 : 0)) / rows.length;
                for (int j = 0; j < TONES.length; j++) {
                    head.weights()[row * TONES.length + j] -= rates.learningRate() * error * unit(embeddings[i])[j];
                }
            }
        }
        return loss;
    }

    @Override
    public Inference infer(float[] embedding) {
        float[] x = unit(embedding);
        float[] scores = new float[CLASSES];
        float[] probabilities = new float[CLASSES];
        float sum = 0;
        for (int row = 0; row < CLASSES; row++) {
            for (int j = 0; j < x.length; j++) {
                scores[row] += head.weights()[row * x.length + j] * x[j];
            }
            probabilities[row] = head.active()[row] * (float) Math.exp(scores[row]);
            sum += probabilities[row];
        }
        for (int row = 0; row < CLASSES; row++) {
            probabilities[row] /= sum;
        }
        return new Inference(probabilities, scores);
    }

    @Override
    public HeadWeights getWeights() {
        return head;
    }

    @Override
    public void setWeights(HeadWeights weights) {
        head = new HeadWeights(
                weights.weights().clone(),
                weights.bias().clone(),
                weights.weightsVelocity().clone(),
                weights.biasVelocity().clone(),
                weights.active().clone());
    }

    private static float[] unit(float[] values) {
        double squares = 0;
        for (float value : values) {
            squares += value * value;
        }
        float[] unit = new float[values.length];
        for (int i = 0; i < unit.length; i++) {
            unit[i] = (float) (values[i] / Math.sqrt(Math.max(squares, 1e-30)));
        }
        return unit;
    }
}
