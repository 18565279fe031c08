package io.github.trillspeech.demo;

import io.github.trillspeech.core.ModelException;
import io.github.trillspeech.core.Signatures;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;

/**
 * A model file in TensorFlow Lite, or in LiteRT 1.x, which has the same class.
 *
 * <p>Not thread-safe, as {@link Interpreter} is not; {@code ModelEmbedder} and {@code ModelHead} take turns on it. What
 * the head has learned lives in the interpreter and is gone with it.
 */
final class TfliteSignatures implements Signatures, AutoCloseable {
    private final Interpreter interpreter;
    // Native buffers are slow to allocate and are freed late: one for each tensor.
    private final Map<String, ByteBuffer> buffers = new HashMap<>();

    /**
     * @param file of the model, direct or mapped, and kept: the interpreter reads it as long as it lives.
     * @throws ModelException if the interpreter refuses it.
     */
    TfliteSignatures(ByteBuffer file) {
        try {
            // A window is too short to share among threads: docs/on-device.md, "Interpreters".
            interpreter = new Interpreter(file, new Interpreter.Options().setNumThreads(1));
        } catch (IllegalArgumentException | IllegalStateException error) {
            throw new ModelException("a model runs in TensorFlow Lite, got: " + error.getMessage()
                    + ". Export it again with trill-export, or take a newer runtime.", error);
        }
    }

    @Override
    public int[] inputShape(String signature, String input) {
        require(signature, input, true);
        return interpreter.getInputTensorFromSignature(input, signature).shape();
    }

    @Override
    public int[] outputShape(String signature, String output) {
        require(signature, output, false);
        return interpreter.getOutputTensorFromSignature(output, signature).shape();
    }

    @Override
    public Map<String, float[]> run(String signature, Map<String, ?> inputs) {
        require(signature, null, true);
        Map<String, Object> given = new HashMap<>();
        inputs.forEach((name, values) -> given.put(name, filled(signature, name, values)));
        Map<String, Object> taken = new HashMap<>();
        for (String name : interpreter.getSignatureOutputs(signature)) {
            taken.put(name, buffer(interpreter.getOutputTensorFromSignature(name, signature), signature, name));
        }
        try {
            interpreter.runSignature(given, taken, signature);
        } catch (IllegalArgumentException | IllegalStateException error) {
            throw new ModelException(
                    "\"" + signature + "\" takes what its file says, got: " + error.getMessage() + ".", error);
        }
        Map<String, float[]> results = new HashMap<>();
        taken.forEach((name, buffer) -> results.put(name, copied((ByteBuffer) buffer)));
        return results;
    }

    @Override
    public void close() {
        interpreter.close();
    }

    /** The input's buffer, with the values, ready to be read from its start. */
    private ByteBuffer filled(String signature, String name, Object values) {
        require(signature, name, true);
        Tensor tensor = interpreter.getInputTensorFromSignature(name, signature);
        int count = values instanceof int[] labels ? labels.length : ((float[]) values).length;
        if (count != tensor.numElements()) {
            throw new IllegalArgumentException(name + " of \"" + signature + "\" has " + tensor.numElements()
                    + " numbers, got " + count + ". Its shape is " + Arrays.toString(tensor.shape()) + ".");
        }
        ByteBuffer buffer = buffer(tensor, signature, name);
        if (values instanceof int[] labels) {
            buffer.asIntBuffer().put(IntBuffer.wrap(labels));
        } else {
            buffer.asFloatBuffer().put(FloatBuffer.wrap((float[]) values));
        }
        return buffer;
    }

    /** The tensor's own buffer, rewound: the interpreter leaves it at its end, and another call would find it full. */
    private ByteBuffer buffer(Tensor tensor, String signature, String name) {
        ByteBuffer buffer = buffers.computeIfAbsent(
                signature + "/" + name,
                // Java's order is big-endian; the interpreter takes the processor's alone.
                key -> ByteBuffer.allocateDirect(tensor.numBytes()).order(ByteOrder.nativeOrder()));
        buffer.rewind();
        return buffer;
    }

    private static float[] copied(ByteBuffer buffer) {
        buffer.rewind();
        float[] values = new float[buffer.remaining() / Float.BYTES];
        buffer.asFloatBuffer().get(values);
        return values;
    }

    private void require(String signature, String tensor, boolean input) {
        Set<String> signatures = new HashSet<>(Arrays.asList(interpreter.getSignatureKeys()));
        if (!signatures.contains(signature)) {
            throw new IllegalArgumentException("the model has the signatures " + signatures + ", got \"" + signature
                    + "\". A file that learns is made by trill-export --personal.");
        }
        if (tensor == null) {
            return;
        }
        Set<String> names = new HashSet<>(Arrays.asList(
                input ? interpreter.getSignatureInputs(signature) : interpreter.getSignatureOutputs(signature)));
        if (!names.contains(tensor)) {
            throw new IllegalArgumentException(
                    "\"" + signature + "\" has the " + (input ? "inputs " : "outputs ") + names + ", got \"" + tensor + "\".");
        }
    }
}
