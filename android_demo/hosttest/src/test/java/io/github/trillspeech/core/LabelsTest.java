package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LabelsTest {
    @Test
    void keepsNamesOfAllScripts() {
        for (String name : new String[] {
            "Zoë", "李小龙", "محمد", "Иван", "O'Neil / \"Bob\" \\ <b>", "👩‍👧 mum", "नमस्ते", "unknown"
        }) {
            assertEquals(name, Labels.clean(name));
        }
    }

    @Test
    void removesWhatCannotBeSeen() {
        assertEquals("Ann B", Labels.clean("  Ann\t\n\u00a0 B \u0000"));
        assertEquals("evil.exe", Labels.clean("evil\u202e.exe\u2066")); // no turning of the text's direction
        assertEquals("Ann", Labels.clean("\ufeffA\u200bn\u0007n\ud800"));
        assertEquals("é", Labels.clean("e\u0301"));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", " \t", "\u200d", "\u0301", "\u202e\u202c", "\ud800", "12345678901234567890123456789012345678901"
    })
    void refusesTheRest(String name) {
        String message = assertThrows(IllegalArgumentException.class, () -> Labels.clean(name)).getMessage();
        assertTrue(message.contains("a name has 1 to 40 visible characters"), message);
    }

    @Test
    void countsCharactersAndNotHalves() {
        assertEquals("👩".repeat(40), Labels.clean("👩".repeat(40)));
        assertThrows(IllegalArgumentException.class, () -> Labels.clean("👩".repeat(41)));
    }

    @Test
    void cleaningTwiceChangesNothing() {
        java.util.Random random = new java.util.Random(6);
        int cleaned = 0;
        for (int run = 0; run < 20_000; run++) {
            StringBuilder typed = new StringBuilder();
            for (int i = random.nextInt(12); i > 0; i--) {
                typed.appendCodePoint(random.nextBoolean() ? random.nextInt(0x3000) : random.nextInt(0x110000));
            }
            try {
                String once = Labels.clean(typed.toString());
                assertEquals(once, Labels.clean(once));
                cleaned++;
            } catch (IllegalArgumentException error) {
                assertTrue(error.getMessage().startsWith("a name has"));
            }
        }
        assertTrue(cleaned > 10_000);
    }

    @Test
    void sameNames() {
        assertTrue(Labels.same("ANNA", "anna"));
        assertTrue(Labels.same("Ａnna", "anna"));
        assertFalse(Labels.same("Anna", "Anne"));
    }
}
