package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ModelFileTest {
    private static final byte[] FLATBUFFER = new byte[1000];
    private static final String CARD = "{\"format\": 1, \"flatbuffer_bytes\": 1000, \"card\": {\"name\": \"tiny\", "
            + "\"version\": \"1.2\", \"sample_rate\": 16000, \"window_samples\": 15600, \"hop_samples\": 15360, "
            + "\"taps\": {\"embedding\": [32]}, \"sha256\": \"HASH\"}}";

    static {
        new Random(9).nextBytes(FLATBUFFER);
    }

    private static byte[] file(String card) throws Exception {
        StringBuilder hash = new StringBuilder();
        for (byte value : MessageDigest.getInstance("SHA-256").digest(FLATBUFFER)) {
            hash.append(String.format("%02x", value));
        }
        byte[] json = card.replace("HASH", hash).getBytes(StandardCharsets.UTF_8);
        ByteArrayOutputStream archive = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(archive)) {
            ZipEntry entry = new ZipEntry("trill.json");
            entry.setMethod(ZipEntry.STORED);
            entry.setSize(json.length);
            CRC32 crc = new CRC32();
            crc.update(json);
            entry.setCrc(crc.getValue());
            zip.putNextEntry(entry);
            zip.write(json);
        }
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        file.write(FLATBUFFER);
        file.write(archive.toByteArray());
        return file.toByteArray();
    }

    private static String refused(byte[] file) {
        return assertThrows(ModelException.class, () -> ModelFile.read(ByteBuffer.wrap(file))).getMessage();
    }

    @Test
    void readsTheCard() throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(file(CARD));
        bytes.position(7);
        ModelFile read = ModelFile.read(bytes);
        assertEquals(1000, read.flatbufferBytes());
        assertEquals(new ModelCard("tiny", "1.2", 16_000, 15_600, 15_360, 32, read.card().sha256()), read.card());
        assertEquals(64, read.card().sha256().length());
        assertEquals(7, bytes.position());
    }

    @ParameterizedTest
    @ValueSource(strings = {"packaged.tflite", "personal.tflite"})
    void readsRealFiles(String name) {
        ModelCard card = ModelFile.read(ByteBuffer.wrap(Vectors.bytes(name))).card();
        assertEquals(16_000, card.sampleRate());
        byte[] altered = Vectors.bytes(name);
        altered[altered.length / 3] ^= 1;
        assertTrue(refused(altered).contains("it was altered"));
    }

    @Test
    void refusesFilesCutAnywhere() throws Exception {
        byte[] file = file(CARD);
        for (int length = 0; length < file.length; length++) {
            String message = refused(java.util.Arrays.copyOf(file, length));
            assertTrue(message.contains("Export one with trill-export"), message);
        }
    }

    @Test
    void anyByteAlteredIsRefusedOrHarmless() throws Exception {
        byte[] file = file(CARD);
        ModelCard card = ModelFile.read(ByteBuffer.wrap(file)).card();
        for (int at = 0; at < file.length; at++) {
            byte[] altered = file.clone();
            altered[at] ^= 0x21;
            try {
                // Times and the like in the archive.
                assertEquals(card, ModelFile.read(ByteBuffer.wrap(altered)).card());
                assertTrue(at >= FLATBUFFER.length);
            } catch (ModelException error) {
                assertTrue(error.getMessage().contains("Export one") || error.getMessage().contains("Update the app"));
            }
        }
    }

    @Test
    void refusesAnotherVersion() throws Exception {
        String message = refused(file(CARD.replace("\"format\": 1", "\"format\": 2")));
        assertTrue(message.contains("format 1, got 2. Update the app"), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "1000", "16000", "15600", "15360", "32", "{\"embedding\": [32]}", "[32]", "\"tiny\"", "\"HASH\""
    })
    void refusesCardsThatSayNonsense(String value) throws Exception {
        for (String nonsense : new String[] {"0", "-1", "1.5", "1e99", "null", "\"x\"", "[]", "{}", "true"}) {
            if (!(nonsense.equals("\"x\"") && value.startsWith("\"t"))) { // a fine name
                refused(file(CARD.replace(value, nonsense)));
            }
        }
    }

    @Test
    void refusesAFlatbufferLongerThanItsFile() throws Exception {
        String message = refused(file(CARD.replace("1000", "2000000000")));
        assertTrue(message.contains("the card claims 2000000000"), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"[]", "1", "{}", "nonsense", "{\"format\": 1}"})
    void refusesOtherJson(String json) throws Exception {
        refused(file(json));
    }
}
