package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What the classes of core may not know, read in what they were compiled to. */
class PurityTest {
    private static final List<String> FORBIDDEN = List.of(
            "android/", "org/tensorflow", "org/bytedeco", // a phone, an interpreter
            "currentTimeMillis", "java/time", "java/util/Date", "java/util/Calendar", // a clock that can be set
            "ObjectInputStream", "java/net/", "java/io/Serializable");

    @Test
    void coreKnowsNoPhoneAndNoClock() throws IOException {
        Path classes = Path.of(System.getProperty("trill.core"));
        try (Stream<Path> files = Files.walk(classes)) {
            List<Path> all = files.filter(file -> file.toString().endsWith(".class")).toList();
            assertTrue(all.size() > 20, "found " + all.size());
            for (Path file : all) {
                String constants = Files.readString(file, java.nio.charset.StandardCharsets.ISO_8859_1);
                for (String name : FORBIDDEN) {
                    assertFalse(constants.contains(name), file + " knows " + name);
                }
            }
        }
    }
}
