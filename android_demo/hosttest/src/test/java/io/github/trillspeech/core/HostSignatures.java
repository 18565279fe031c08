package io.github.trillspeech.core;

import static org.bytedeco.tensorflowlite.global.tensorflowlite.*;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.tensorflowlite.TfLiteInterpreter;
import org.bytedeco.tensorflowlite.TfLiteInterpreterOptions;
import org.bytedeco.tensorflowlite.TfLiteModel;
import org.bytedeco.tensorflowlite.TfLiteSignatureRunner;
import org.bytedeco.tensorflowlite.TfLiteTensor;

/** A model file in the TFLite of this computer, through its C API: what the app's adapter is on a phone. */
final class HostSignatures implements Signatures, AutoCloseable {
    private final BytePointer bytes; // the interpreter reads it as long as it lives
    private final TfLiteModel model;
    private final TfLiteInterpreter interpreter;
    private final Map<String, TfLiteSignatureRunner> runners = new HashMap<>();

    HostSignatures(byte[] file) {
        bytes = new BytePointer(file);
        model = TfLiteModelCreate(bytes, file.length);
        if (model == null) {
            throw new ModelException("TFLite takes a flatbuffer, got " + file.length + " other bytes.");
        }
        TfLiteInterpreterOptions options = TfLiteInterpreterOptionsCreate();
        TfLiteInterpreterOptionsSetNumThreads(options, 1);
        interpreter = TfLiteInterpreterCreate(model, options);
        TfLiteInterpreterOptionsDelete(options);
    }

    @Override
    public int[] inputShape(String signature, String input) {
        return shape(TfLiteSignatureRunnerGetInputTensor(runner(signature), input), input);
    }

    @Override
    public int[] outputShape(String signature, String output) {
        return shape(TfLiteSignatureRunnerGetOutputTensor(runner(signature), output), output);
    }

    @Override
    public Map<String, float[]> run(String signature, Map<String, ?> inputs) {
        TfLiteSignatureRunner runner = runner(signature);
        inputs.forEach((name, values) -> copyIn(TfLiteSignatureRunnerGetInputTensor(runner, name), name, values));
        check(TfLiteSignatureRunnerInvoke(runner), signature);
        Map<String, float[]> outputs = new LinkedHashMap<>();
        for (int i = 0; i < TfLiteSignatureRunnerGetOutputCount(runner); i++) {
            String name = TfLiteSignatureRunnerGetOutputName(runner, i).getString();
            TfLiteTensor tensor = TfLiteSignatureRunnerGetOutputTensor(runner, name);
            float[] values = new float[(int) TfLiteTensorByteSize(tensor) / 4];
            try (FloatPointer packed = new FloatPointer(values.length)) {
                check(TfLiteTensorCopyToBuffer(tensor, packed, 4L * values.length), name);
                packed.get(values);
            }
            outputs.put(name, values);
        }
        return outputs;
    }

    private static void copyIn(TfLiteTensor tensor, String name, Object values) {
        boolean whole = values instanceof int[];
        int length = whole ? ((int[]) values).length : ((float[]) values).length;
        try (Pointer packed = whole ? new IntPointer((int[]) values) : new FloatPointer((float[]) values)) {
            check(TfLiteTensorCopyFromBuffer(tensor, packed, 4L * length), name);
        }
    }

    private TfLiteSignatureRunner runner(String signature) {
        return runners.computeIfAbsent(signature, name -> {
            TfLiteSignatureRunner runner = TfLiteInterpreterGetSignatureRunner(interpreter, name);
            if (runner == null) {
                throw new IllegalArgumentException("the model has no signature " + name + ".");
            }
            check(TfLiteSignatureRunnerAllocateTensors(runner), name);
            return runner;
        });
    }

    private static int[] shape(TfLiteTensor tensor, String name) {
        if (tensor == null) {
            throw new IllegalArgumentException("the signature has no " + name + ".");
        }
        int[] shape = new int[TfLiteTensorNumDims(tensor)];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = TfLiteTensorDim(tensor, i);
        }
        return shape;
    }

    private static void check(int status, String what) {
        if (status != 0) {
            throw new ModelException("TFLite refused " + what + ", status " + status + ".");
        }
    }

    @Override
    public void close() {
        runners.values().forEach(runner -> TfLiteSignatureRunnerDelete(runner));
        TfLiteInterpreterDelete(interpreter);
        TfLiteModelDelete(model);
        bytes.close();
    }
}
