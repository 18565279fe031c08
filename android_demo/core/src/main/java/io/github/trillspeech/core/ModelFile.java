package io.github.trillspeech.core;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/**
 * A model file: a TFLite flatbuffer followed by a zip archive with the card (docs/on-device.md, "The card").
 *
 * <p>Interpreters ignore the archive, so that the whole file may be given to them.
 *
 * @param card what the file says of itself; its hash has been compared with the flatbuffer.
 * @param flatbufferBytes where the archive starts.
 */
public record ModelFile(ModelCard card, int flatbufferBytes) {
    private static final int FORMAT = 1;
    private static final int MAX_CARD_BYTES = 1_000_000;
    private static final String WAY_OUT = " Export one with trill-export, or copy the file again.";

    /**
     * Reads the card and checks that the model is the one it was written for.
     *
     * @param file all of its bytes; position and limit are left alone.
     * @throws ModelException if it is no model file, of another format, altered or cut short.
     */
    public static ModelFile read(ByteBuffer file) {
        ByteBuffer bytes = file.duplicate();
        bytes.rewind(); // a mapped file may be handed over anywhere
        ModelFile found = parse(card(bytes));
        if (found.flatbufferBytes > bytes.limit()) {
            throw new ModelException("a flatbuffer lies inside its file of " + bytes.limit()
                    + " bytes, the card claims " + found.flatbufferBytes + "." + WAY_OUT);
        }
        bytes.position(0).limit(found.flatbufferBytes);
        String hash = sha256(bytes);
        if (!hash.equals(found.card.sha256())) {
            throw new ModelException("a model has the SHA-256 that its card names, " + found.card.sha256() + ", got "
                    + hash + ": it was altered." + WAY_OUT);
        }
        return found;
    }

    private static ModelFile parse(String json) {
        try {
            Map<?, ?> content = (Map<?, ?>) Json.parse(json);
            int format = count(content, "format");
            if (format != FORMAT) {
                throw new ModelException("this version reads model files of format " + FORMAT + ", got " + format
                        + ". Update the app, or export the model for it.");
            }
            Map<?, ?> card = (Map<?, ?>) content.get("card");
            List<?> shape = (List<?>) ((Map<?, ?>) card.get("taps")).get("embedding");
            return new ModelFile(
                    new ModelCard(
                            (String) Objects.requireNonNull(card.get("name")),
                            (String) Objects.requireNonNull(card.get("version")),
                            count(card, "sample_rate"),
                            count(card, "window_samples"),
                            count(card, "hop_samples"),
                            count(Map.of("embedding", shape.get(shape.size() - 1)), "embedding"),
                            (String) Objects.requireNonNull(card.get("sha256"))),
                    count(content, "flatbuffer_bytes"));
        } catch (ModelException error) {
            throw error;
        } catch (RuntimeException error) { // of text that is no JSON, and of fields that are missing or of another type
            throw new ModelException(
                    "a model has a complete trill.json (" + error.getMessage() + ")." + WAY_OUT, error);
        }
    }

    private static int count(Map<?, ?> object, String name) {
        double value = (Double) object.get(name);
        if (!(value >= 1 && value <= Integer.MAX_VALUE && value == Math.rint(value))) {
            throw new IllegalArgumentException(name + " is a positive whole number, got " + value);
        }
        return (int) value;
    }

    /** The text of trill.json, found through the archive's end: its offsets count from its own start. */
    private static String card(ByteBuffer bytes) {
        bytes.order(ByteOrder.LITTLE_ENDIAN);
        int end = bytes.limit() - 22; // of an archive without comment, as modelfile.write makes it
        if (end < 0 || bytes.getInt(end) != 0x06054b50) {
            throw new ModelException("a model file ends with an archive that holds trill.json, got " + bytes.limit()
                    + " bytes without one: no model file of ours, or cut short." + WAY_OUT);
        }
        long size = Integer.toUnsignedLong(bytes.getInt(end + 12)); // of the directory
        long start = end - size - Integer.toUnsignedLong(bytes.getInt(end + 16));
        if (start < 0) {
            throw new ModelException("an archive lies inside its file, got one from " + start + " on." + WAY_OUT);
        }
        byte[] archive = new byte[bytes.limit() - (int) start];
        bytes.position((int) start);
        bytes.get(archive);
        try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(archive))) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                if (entry.getName().equals("trill.json")) {
                    return text(zip);
                }
            }
        } catch (IOException | IllegalArgumentException error) {
            throw new ModelException("a model's archive is readable (" + error.getMessage() + ")." + WAY_OUT, error);
        }
        throw new ModelException("a model's archive holds trill.json, got one without." + WAY_OUT);
    }

    private static String text(ZipInputStream zip) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        byte[] buffer = new byte[8192];
        for (int count = zip.read(buffer); count >= 0; count = zip.read(buffer)) {
            text.write(buffer, 0, count);
            if (text.size() > MAX_CARD_BYTES) {
                throw new ModelException("trill.json holds at most " + MAX_CARD_BYTES + " bytes, got more." + WAY_OUT);
            }
        }
        return new String(text.toByteArray(), StandardCharsets.UTF_8);
    }

    private static String sha256(ByteBuffer bytes) {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException("every Java platform has SHA-256", error);
        }
        digest.update(bytes);
        StringBuilder hex = new StringBuilder();
        for (byte value : digest.digest()) {
            hex.append(String.format("%02x", value));
        }
        return hex.toString();
    }
}
