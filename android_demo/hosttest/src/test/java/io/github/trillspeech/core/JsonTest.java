package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    @Test
    void readsEveryKind() {
        Map<?, ?> read = (Map<?, ?>) Json.parse(
                " {\"a\": [1, -2.5e3, 0, []], "
                        + "\"b\": {\"c\": null, \"d\": true}, \"\\u00e9\\n\\\"\\/\": \"é\\\\\", \"e\": {}, \"f\":false} ");
        assertEquals(List.of(1.0, -2500.0, 0.0, List.of()), read.get("a"));
        assertNull(((Map<?, ?>) read.get("b")).get("c"));
        assertEquals(true, ((Map<?, ?>) read.get("b")).get("d"));
        assertEquals("é\\", read.get("é\n\"/"));
        assertEquals(Map.of(), read.get("e"));
        assertEquals(false, read.get("f"));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", " ", "{", "{}}", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "\"", "\"\\x\"", "\"\\u12g4\"",
        "\"\\u+123\"", "\"\\u12",
        "\"a\nb\"", "01", "1.", ".5", "+1", "1e", "--1", "nul", "tru", "NaN", "Infinity", "1 1", "'a'"
    })
    void refusesTheRest(String text) {
        String message = assertThrows(IllegalArgumentException.class, () -> Json.parse(text)).getMessage();
        assertTrue(message.startsWith("JSON wants"), message);
    }

    @Test
    void refusesWhatWouldOverflowTheStack() {
        assertThrows(IllegalArgumentException.class, () -> Json.parse("[".repeat(100_000)));
        assertDoesNotThrow(() -> Json.parse("[".repeat(60) + "]".repeat(60)));
    }
}
