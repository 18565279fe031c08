package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import io.github.trillspeech.core.Recognizer.Answer;
import io.github.trillspeech.core.Recognizer.Kind;
import java.util.List;
import org.junit.jupiter.api.Test;

class RecognizerTest {
    private final PersonalHead head = new PersonalHead(new SlowHead(4, 3, PersonalHeadTest.DIMENSION), "model");

    private static Embedding of(int person, int clip) {
        return new Embedding(PersonalHeadTest.voice(person, clip), 42);
    }

    @Test
    void oneClipIsEnoughForAnAnswer() {
        Recognizer recognizer = new Recognizer(head, 0.7, 1);
        assertEquals(Kind.NOBODY_ENROLLED, recognizer.push(of(0, 0), false).kind());
        head.add("a", PersonalHeadTest.voice(0, 0));
        Answer known = recognizer.push(of(0, 1), false);
        assertEquals(List.of(Kind.KNOWN, "a", 42L, false),
                List.of(known.kind(), known.label(), known.timestampMs(), known.byHead()));
        double cosine = CosineScorer.cosine(PersonalHeadTest.voice(0, 0), PersonalHeadTest.voice(0, 1));
        assertEquals(cosine, known.similarity(), 1e-6);
        Answer stranger = recognizer.push(of(1, 1), false);
        assertEquals(Kind.UNKNOWN, stranger.kind());
        assertEquals("a", stranger.label()); // the nearest there is
        head.add("b", PersonalHeadTest.voice(1, 0));
        assertEquals("b", recognizer.push(of(1, 1), false).label());
        head.forget("b");
        assertEquals(Kind.UNKNOWN, recognizer.push(of(1, 1), false).kind());
    }

    @Test
    void theTrainedHeadDecidesAndStrangersStayUnknown() throws Exception {
        head.add("a", PersonalHeadTest.voice(0, 0));
        head.add("b", PersonalHeadTest.voice(1, 0));
        head.train((step, steps, loss) -> {});
        Recognizer recognizer = new Recognizer(head, 0.7, 1);
        Answer known = recognizer.push(of(1, 5), false);
        assertEquals(List.of(Kind.KNOWN, "b", true), List.of(known.kind(), known.label(), known.byHead()));
        assertEquals(1, known.scores().stream().mapToDouble(Recognizer.Score::score).sum(), 1e-6);
        assertTrue(known.scores().get(1).score() > 0.8);
        assertEquals(Kind.UNKNOWN, recognizer.push(of(3, 5), false).kind());
    }

    @Test
    void probabilitiesFollowPeopleToTheirRows() throws Exception {
        for (int person = 0; person < 3; person++) {
            head.add("abc".substring(person, person + 1), PersonalHeadTest.voice(person, 0));
        }
        head.forget("a"); // b and c keep their rows
        head.train((step, steps, loss) -> {});
        Answer answer = new Recognizer(head, 0.7, 1).recognize(of(2, 5));
        assertEquals(List.of("b", "c"), answer.scores().stream().map(Recognizer.Score::label).toList());
        assertTrue(answer.scores().get(1).score() > 0.8, answer.toString());
        assertEquals("c", answer.label());
    }

    @Test
    void answersAreSmoothedUntilItIsSilent() {
        head.add("a", PersonalHeadTest.voice(0, 0));
        head.add("b", PersonalHeadTest.voice(1, 0));
        Recognizer recognizer = new Recognizer(head, -1, 3);
        recognizer.push(of(0, 1), false);
        recognizer.push(of(0, 2), false);
        assertEquals("a", recognizer.push(of(1, 1), false).label()); // two of three
        assertEquals("b", recognizer.push(of(1, 2), false).label());
        recognizer.push(of(1, 3), false);
        assertEquals(new Answer(Kind.SILENCE, "", 0, false, List.of(), 42), recognizer.push(of(1, 3), true));
        assertEquals("a", recognizer.push(of(0, 1), false).label()); // what was before is forgotten
        recognizer.push(of(0, 1), false);
        recognizer.reset();
        assertEquals("b", recognizer.push(of(1, 1), false).label());
    }

    @Test
    void loudWindowsWeighNoMore() {
        head.add("a", PersonalHeadTest.voice(0, 0));
        head.add("b", PersonalHeadTest.voice(1, 0));
        Recognizer recognizer = new Recognizer(head, -1, 3);
        float[] loud = PersonalHeadTest.voice(1, 1);
        for (int i = 0; i < loud.length; i++) {
            loud[i] *= 100;
        }
        recognizer.push(new Embedding(loud, 0), false);
        recognizer.push(of(0, 1), false);
        assertEquals("a", recognizer.push(of(0, 2), false).label());
    }

    @Test
    void theThresholdIsTheLowestThatPasses() {
        head.add("a", PersonalHeadTest.voice(0, 0));
        double similarity = new Recognizer(head, -1, 1).recognize(of(0, 1)).similarity();
        assertEquals(Kind.KNOWN, new Recognizer(head, similarity, 1).recognize(of(0, 1)).kind());
        assertEquals(Kind.UNKNOWN, new Recognizer(head, Math.nextUp(similarity), 1).recognize(of(0, 1)).kind());
    }

    @Test
    void saysWhatItTakes() {
        for (double threshold : new double[] {-1.1, 1.1, Double.NaN}) {
            assertThrows(IllegalArgumentException.class, () -> new Recognizer(head, threshold, 1));
        }
        assertThrows(IllegalArgumentException.class, () -> new Recognizer(head, 0, 0));
    }
}
