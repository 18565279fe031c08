package io.github.trillspeech.core;

import io.github.trillspeech.core.HeadState.Person;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A {@link HeadState} as bytes: hash, classes, dimension, people (label, row, clips), weights if trained. Texts are
 * UTF-8 behind their length. No count is believed before the bytes for it are there.
 */
final class HeadCodec {
    private HeadCodec() {}

    static byte[] encode(HeadState state) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            DataOutputStream out = new DataOutputStream(bytes);
            writeText(out, state.modelHash());
            out.writeInt(state.numClasses());
            out.writeInt(state.dimension());
            out.writeInt(state.people().size());
            for (Person person : state.people()) {
                writeText(out, person.label());
                out.writeInt(person.row());
                out.writeInt(person.clips().size());
                for (float[] clip : person.clips()) {
                    writeFloats(out, clip);
                }
            }
            out.writeByte(state.trained() ? 1 : 0);
            if (state.trained()) {
                HeadWeights head = state.weights();
                for (float[] numbers : List.of(
                        head.weights(), head.bias(), head.weightsVelocity(), head.biasVelocity(), head.active())) {
                    writeFloats(out, numbers);
                }
            }
        } catch (IOException error) {
            throw new IllegalStateException("memory can be written to", error);
        }
        return bytes.toByteArray();
    }

    /**
     * @throws IllegalArgumentException if the bytes are no state.
     * @throws java.nio.BufferUnderflowException if they end too early.
     */
    static HeadState decode(ByteBuffer bytes) {
        String hash = readText(bytes);
        int numClasses = positive(bytes.getInt(), "classes");
        int dimension = positive(bytes.getInt(), "dimension");
        int count = bytes.getInt();
        require(count >= 0 && count <= numClasses, "people");
        List<Person> people = new ArrayList<>();
        Set<Integer> rows = new HashSet<>();
        for (int i = 0; i < count; i++) {
            String label = readText(bytes);
            boolean twin = people.stream().anyMatch(person -> Labels.same(person.label(), label));
            require(!twin && Labels.clean(label).equals(label), "label");
            int row = bytes.getInt();
            require(row >= 0 && row < numClasses && rows.add(row), "row");
            int numClips = positive(bytes.getInt(), "clips");
            List<float[]> clips = new ArrayList<>();
            for (int clip = 0; clip < numClips; clip++) {
                clips.add(readFloats(bytes, dimension));
            }
            people.add(new Person(label, row, Collections.unmodifiableList(clips)));
        }
        HeadWeights weights = null;
        int trained = bytes.get();
        require(trained == 0 || trained == 1, "training");
        if (trained == 1) {
            weights = new HeadWeights(
                    readFloats(bytes, (long) numClasses * dimension),
                    readFloats(bytes, numClasses),
                    readFloats(bytes, (long) numClasses * dimension),
                    readFloats(bytes, numClasses),
                    readFloats(bytes, numClasses));
        }
        require(!bytes.hasRemaining(), "end");
        return new HeadState(hash, numClasses, dimension, Collections.unmodifiableList(people), weights);
    }

    private static void writeText(DataOutputStream out, String text) throws IOException {
        byte[] encoded = text.getBytes(StandardCharsets.UTF_8);
        out.writeInt(encoded.length);
        out.write(encoded);
    }

    private static void writeFloats(DataOutputStream out, float[] numbers) throws IOException {
        ByteBuffer packed = ByteBuffer.allocate(4 * numbers.length);
        packed.asFloatBuffer().put(numbers);
        out.write(packed.array());
    }

    private static String readText(ByteBuffer bytes) {
        int length = bytes.getInt();
        require(length >= 0 && length <= bytes.remaining(), "text");
        ByteBuffer encoded = bytes.slice();
        encoded.limit(length);
        bytes.position(bytes.position() + length);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(encoded).toString();
        } catch (CharacterCodingException error) {
            throw new IllegalArgumentException("text is not UTF-8", error);
        }
    }

    private static float[] readFloats(ByteBuffer bytes, long count) {
        require(count <= bytes.remaining() / 4, "numbers");
        float[] numbers = new float[(int) count];
        bytes.asFloatBuffer().get(numbers);
        bytes.position(bytes.position() + 4 * numbers.length);
        for (float number : numbers) {
            require(Float.isFinite(number), "number");
        }
        return numbers;
    }

    private static int positive(int value, String what) {
        require(value > 0, what);
        return value;
    }

    private static void require(boolean sound, String what) {
        if (!sound) {
            throw new IllegalArgumentException(what + " out of range");
        }
    }
}
