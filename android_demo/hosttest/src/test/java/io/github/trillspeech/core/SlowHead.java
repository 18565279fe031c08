package io.github.trillspeech.core;

/** The head by its definition, in float64, the slowest way: what the file's head must do. */
class SlowHead implements HeadTrainer {
    private final int numClasses;
    private final int batch;
    private final int dimension;
    private double[][] weights;
    private double[][] velocity;
    private double[] bias;
    private double[] biasVelocity;
    private double[] active;
    volatile Runnable beforeStep = () -> {};

    SlowHead(int numClasses, int batch, int dimension) {
        this.numClasses = numClasses;
        this.batch = batch;
        this.dimension = dimension;
        setWeights(HeadWeights.zeros(numClasses, dimension));
    }

    @Override
    public int numClasses() {
        return numClasses;
    }

    @Override
    public int batch() {
        return batch;
    }

    @Override
    public int dimension() {
        return dimension;
    }

    @Override
    public float train(float[][] embeddings, int[] rows, Rates rates) {
        beforeStep.run();
        double loss = 0;
        double[][] gradient = new double[numClasses][dimension];
        double[] biasGradient = new double[numClasses];
        double count = rows.length;
        for (int i = 0; i < rows.length; i++) {
            double[] x = unit(embeddings[i]);
            double[] p = probabilities(x);
            loss -= Math.log(p[rows[i]]) / count;
            for (int c = 0; c < numClasses; c++) {
                double error = (p[c] - (c == rows[i] ? 1 : 0)) / count;
                biasGradient[c] += error;
                for (int j = 0; j < dimension; j++) {
                    gradient[c][j] += error * x[j];
                }
            }
        }
        for (int c = 0; c < numClasses; c++) {
            if (active[c] == 0) {
                continue;
            }
            biasVelocity[c] = rates.momentum() * biasVelocity[c] + biasGradient[c];
            bias[c] -= rates.learningRate() * biasVelocity[c];
            for (int j = 0; j < dimension; j++) {
                double step = gradient[c][j] + rates.weightDecay() * weights[c][j];
                velocity[c][j] = rates.momentum() * velocity[c][j] + step;
                weights[c][j] -= rates.learningRate() * velocity[c][j];
            }
        }
        return (float) loss;
    }

    @Override
    public Inference infer(float[] embedding) {
        double[] x = unit(embedding);
        return new Inference(floats(probabilities(x)), floats(scores(x)));
    }

    private double[] scores(double[] x) {
        double[] scores = bias.clone();
        for (int c = 0; c < numClasses; c++) {
            for (int j = 0; j < dimension; j++) {
                scores[c] += weights[c][j] * x[j];
            }
        }
        return scores;
    }

    private double[] probabilities(double[] x) {
        double[] p = scores(x);
        double sum = 0;
        for (int c = 0; c < numClasses; c++) {
            p[c] = active[c] == 0 ? 0 : Math.exp(p[c]);
            sum += p[c];
        }
        for (int c = 0; c < numClasses; c++) {
            p[c] /= sum;
        }
        return p;
    }

    private static double[] unit(float[] values) {
        double squares = 0;
        for (float value : values) {
            squares += (double) value * value;
        }
        double[] scaled = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            scaled[i] = squares == 0 ? 0 : values[i] / Math.sqrt(squares);
        }
        return scaled;
    }

    @Override
    public HeadWeights getWeights() {
        return new HeadWeights(flat(weights), floats(bias), flat(velocity), floats(biasVelocity), floats(active));
    }

    @Override
    public void setWeights(HeadWeights given) {
        weights = rows(given.weights());
        velocity = rows(given.weightsVelocity());
        bias = doubles(given.bias());
        biasVelocity = doubles(given.biasVelocity());
        active = doubles(given.active());
    }

    private double[][] rows(float[] flat) {
        double[][] rows = new double[numClasses][dimension];
        for (int i = 0; i < flat.length; i++) {
            rows[i / dimension][i % dimension] = flat[i];
        }
        return rows;
    }

    private float[] flat(double[][] rows) {
        float[] flat = new float[numClasses * dimension];
        for (int i = 0; i < flat.length; i++) {
            flat[i] = (float) rows[i / dimension][i % dimension];
        }
        return flat;
    }

    private static float[] floats(double[] values) {
        float[] floats = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            floats[i] = (float) values[i];
        }
        return floats;
    }

    private static double[] doubles(float[] values) {
        double[] doubles = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            doubles[i] = values[i];
        }
        return doubles;
    }
}
