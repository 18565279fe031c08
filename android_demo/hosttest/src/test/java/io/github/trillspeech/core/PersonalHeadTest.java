package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PersonalHeadTest {
    static final int DIMENSION = 6;
    private final SlowHead slow = new SlowHead(4, 3, DIMENSION);
    private final PersonalHead head = new PersonalHead(slow, "model");

    static float[] voice(int person, int clip) {
        Random random = new Random(100L * person + clip);
        float[] values = new float[DIMENSION];
        for (int i = 0; i < DIMENSION; i++) {
            values[i] = (i == person ? 3 : 0) + (float) random.nextGaussian() / 3;
        }
        return values;
    }

    private void enrol(String... names) {
        for (int person = 0; person < names.length; person++) {
            for (int clip = 0; clip < 3; clip++) {
                head.add(names[person], voice(person, clip));
            }
        }
    }

    @Test
    void learnsToTellPeopleApart() throws Exception {
        enrol("a", "b", "c");
        assertNull(head.infer(voice(0, 9)));
        List<Float> losses = new ArrayList<>();
        float last = head.train((step, steps, loss) -> {
            assertEquals(75, steps);
            losses.add(loss);
            assertEquals(losses.size(), step);
        });
        assertEquals(75, losses.size());
        assertEquals(Math.log(3), losses.get(0), 1e-6);
        assertTrue(last < 0.1, "loss " + last);
        for (int person = 0; person < 3; person++) {
            assertTrue(head.infer(voice(person, 9)).probabilities()[person] > 0.8);
        }
        assertEquals(0, head.infer(voice(0, 9)).probabilities()[3]);
    }

    @Test
    void everyClipComesOnceBeforeAnyComesAgain() throws Exception {
        List<Integer> counts = new ArrayList<>();
        List<List<float[]>> batches = new ArrayList<>();
        HeadTrainer spy = new SlowHead(4, 3, DIMENSION) {
            @Override
            public float train(float[][] embeddings, int[] rows, Rates rates) {
                batches.add(List.of(embeddings));
                counts.add(embeddings.length);
                for (int i = 0; i < rows.length; i++) {
                    assertTrue(embeddings[i][rows[i]] > 1, "a clip with another's row");
                }
                return super.train(embeddings, rows, rates);
            }
        };
        PersonalHead spied = new PersonalHead(spy, "model");
        for (int clip = 0; clip < 4; clip++) {
            spied.add("a", voice(0, clip));
        }
        spied.add("b", voice(1, 0));
        spied.train((step, steps, loss) -> {});
        assertEquals(List.of(3, 2, 3, 2), counts.subList(0, 4));
        for (int round = 0; round < 50; round += 2) {
            List<float[]> seen = new ArrayList<>(batches.get(round));
            seen.addAll(batches.get(round + 1));
            assertEquals(5, seen.stream().map(Arrays::toString).distinct().count());
        }
        assertNotEquals(
                batches.subList(0, 2).stream().map(Object::toString).toList(),
                batches.subList(2, 4).stream().map(Object::toString).toList());
    }

    @Test
    void theRateFallsInAStraightLine() throws Exception {
        List<Float> rates = new ArrayList<>();
        HeadTrainer spy = new SlowHead(4, 3, DIMENSION) {
            @Override
            public float train(float[][] embeddings, int[] rows, Rates each) {
                rates.add(each.learningRate());
                return super.train(embeddings, rows, each);
            }
        };
        PersonalHead spied = new PersonalHead(spy, "model");
        spied.add("a", voice(0, 0));
        spied.add("b", voice(1, 0));
        spied.train((step, steps, loss) -> {});
        assertEquals(50, rates.size());
        for (int step = 0; step < 50; step++) {
            assertEquals(1 - step / 50f, rates.get(step), 1e-6);
        }
    }

    @Test
    void theSameClipsGiveTheSameHead() throws Exception {
        enrol("a", "b");
        head.train((step, steps, loss) -> {});
        float[] first = head.state().weights().weights();
        head.train((step, steps, loss) -> {});
        assertArrayEquals(first, head.state().weights().weights());
    }

    @Test
    void forgettingLeavesNothingOfAPerson() throws Exception {
        enrol("a", "b", "c");
        head.train((step, steps, loss) -> {});
        head.forget("B");
        assertEquals(List.of("a", "c"), head.state().people().stream().map(HeadState.Person::label).toList());
        assertFalse(head.state().trained());
        assertNull(head.infer(voice(0, 0)));
        assertArrayEquals(new float[4 * DIMENSION], slow.getWeights().weights());
        head.train((step, steps, loss) -> {});
        assertEquals(0, head.infer(voice(1, 0)).probabilities()[1]);
        head.add("d", voice(3, 0));
        assertEquals(1, head.state().people().get(2).row()); // the free one
        head.forget("nobody");
        assertEquals(3, head.state().people().size());
        head.forgetAll();
        assertEquals(HeadState.empty("model", 4, DIMENSION), head.state());
        assertArrayEquals(new float[4], slow.getWeights().active());
    }

    @Test
    void newClipsOfAKnownPerson() {
        head.add("Anna", voice(0, 0));
        HeadState before = head.state();
        float[] mine = voice(0, 1);
        head.add(" anna ", mine);
        mine[0] = 99; // the caller's array stays the caller's
        assertEquals(1, head.state().people().size());
        assertEquals("Anna", head.state().people().get(0).label());
        assertArrayEquals(voice(0, 1), head.state().people().get(0).clips().get(1));
        assertEquals(1, before.people().get(0).clips().size());
        for (int clip = 2; clip < 30; clip++) {
            head.add("Anna", voice(0, clip));
        }
        assertEquals(20, head.state().people().get(0).clips().size());
        assertArrayEquals(voice(0, 29), head.state().people().get(0).clips().get(19));
        assertThrows(UnsupportedOperationException.class, () -> head.state().people().clear());
        assertThrows(UnsupportedOperationException.class, () -> head.state().people().get(0).clips().clear());
    }

    @Test
    void saysWhatItTakes() {
        String one = assertThrows(
                        IllegalStateException.class, () -> head.train((step, steps, loss) -> {})).getMessage();
        assertTrue(one.contains("needs two, got 0"), one);
        assertThrows(IllegalArgumentException.class, () -> head.add("a", new float[DIMENSION - 1]));
        float[] broken = voice(0, 0);
        broken[2] = Float.NaN;
        assertThrows(IllegalArgumentException.class, () -> head.add("a", broken));
        assertThrows(IllegalArgumentException.class, () -> head.add("\n", voice(0, 0)));
        assertTrue(head.state().people().isEmpty());
        enrol("a", "b", "c", "d");
        String full = assertThrows(IllegalArgumentException.class, () -> head.add("e", voice(0, 0))).getMessage();
        assertTrue(full.contains("at most 4 people"), full);
        for (HeadState other : List.of(
                HeadState.empty("other", 4, DIMENSION), HeadState.empty("model", 5, DIMENSION),
                HeadState.empty("model", 4, DIMENSION + 1))) {
            assertThrows(IllegalArgumentException.class, () -> head.restore(other));
        }
    }

    @Test
    void stopsWhenInterruptedAndStaysUsable() throws Exception {
        enrol("a", "b");
        head.train((step, steps, loss) -> {});
        assertThrows(InterruptedException.class, () -> head.train((step, steps, loss) -> {
            if (step == 7) {
                Thread.currentThread().interrupt();
            }
        }));
        assertFalse(head.state().trained());
        assertNull(head.infer(voice(0, 0)));
        head.train((step, steps, loss) -> {});
        assertTrue(head.infer(voice(0, 9)).probabilities()[0] > 0.8);
    }

    @Test
    void answersWhileTraining() throws Exception {
        enrol("a", "b");
        CountDownLatch training = new CountDownLatch(1);
        CountDownLatch asked = new CountDownLatch(1);
        slow.beforeStep = () -> {
            training.countDown();
            try {
                assertTrue(asked.await(30, TimeUnit.SECONDS));
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
        };
        Thread trainer = new Thread(() -> assertDoesNotThrow(() -> head.train((step, steps, loss) -> {})));
        trainer.start();
        assertTrue(training.await(30, TimeUnit.SECONDS));
        assertEquals(2, head.state().people().size()); // does not wait
        Recognizer.Answer answer = new Recognizer(head, 0.5, 1).recognize(new Embedding(voice(1, 9), 0));
        assertEquals("b", answer.label());
        assertFalse(answer.byHead()); // no half-trained head is asked
        asked.countDown();
        trainer.join();
        assertTrue(head.state().trained());
    }

    @Test
    void threadsSeeWholeStates() throws Exception {
        AtomicBoolean done = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread reader = new Thread(() -> {
            Recognizer recognizer = new Recognizer(head, 0.5, 2);
            while (!done.get()) {
                Recognizer.Answer answer = recognizer.push(new Embedding(voice(0, 9), 0), false);
                double sum = answer.scores().stream().mapToDouble(Recognizer.Score::score).sum();
                if (answer.byHead()) {
                    assertEquals(1, sum, 1e-5);
                }
            }
        });
        reader.setUncaughtExceptionHandler((thread, error) -> failure.set(error));
        reader.start();
        for (int round = 0; round < 50; round++) {
            enrol("a", "b", "c");
            head.train((step, steps, loss) -> {});
            head.forget("b");
            head.train((step, steps, loss) -> {});
            head.forgetAll();
        }
        done.set(true);
        reader.join();
        assertNull(failure.get(), () -> failure.get().toString());
    }
}
