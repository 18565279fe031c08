package io.github.trillspeech.core;

import io.github.trillspeech.core.HeadState.Person;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * The people a phone knows, and the head trained on them.
 *
 * <p>Adding or forgetting someone drops the training: what is left of a head that has seen a voice remembers it.
 * Training again from the kept embeddings takes 25 steps a person, of 0.1 to 0.3 ms each on an x86 core.
 *
 * <p>Thread-safe: {@link #state} and {@link #infer} never wait for a training; the other methods do, and belong on a
 * worker thread.
 */
public final class PersonalHead {
    /** Steps of training a person; docs/personalization-on-device.md. */
    static final int STEPS_A_CLASS = 25;

    /** Embeddings kept of a person, the latest: what a household says in a day needs no more. */
    static final int MAX_CLIPS = 20;

    private final HeadTrainer trainer;
    private final Object inference = new Object(); // held while the head's weights and the state disagree
    private volatile HeadState state;

    /** Told on the training thread, after every step. */
    public interface Progress {
        void onStep(int step, int steps, float loss);
    }

    public PersonalHead(HeadTrainer trainer, String modelHash) {
        this.trainer = trainer;
        this.state = HeadState.empty(modelHash, trainer.numClasses(), trainer.dimension());
    }

    /** What is known now; does not change when people are added later. */
    public HeadState state() {
        return state;
    }

    /**
     * Goes on from a stored state.
     *
     * @throws IllegalArgumentException if it is of another model.
     */
    public synchronized void restore(HeadState stored) {
        HeadState empty = HeadState.empty(state.modelHash(), state.numClasses(), state.dimension());
        if (!HeadState.empty(stored.modelHash(), stored.numClasses(), stored.dimension()).equals(empty)) {
            throw new IllegalArgumentException("a state belongs to the model it was learned with, "
                    + state.modelHash() + ", got one of " + stored.modelHash() + ". Enrol again.");
        }
        synchronized (inference) {
            if (stored.trained()) {
                trainer.setWeights(stored.weights());
            }
            state = stored;
        }
    }

    /**
     * Adds a clip of someone, known or new.
     *
     * @param typed a name; see {@link Labels}.
     * @param embedding of the clip; {@link SpeechEmbedder#embedClip}.
     * @throws IllegalArgumentException if the name cannot be used, all rows are taken, or the embedding is of another
     *     length or not finite.
     */
    public synchronized void add(String typed, float[] embedding) {
        String label = Labels.clean(typed);
        check(embedding);
        List<Person> people = new ArrayList<>(state.people());
        int index = indexOf(people, label);
        Person person = index < 0 ? new Person(label, freeRow(people), List.of()) : people.get(index);
        List<float[]> clips = new ArrayList<>(person.clips());
        clips.add(embedding.clone());
        List<float[]> latest = clips.subList(Math.max(0, clips.size() - MAX_CLIPS), clips.size());
        Person grown = new Person(person.label(), person.row(), Collections.unmodifiableList(new ArrayList<>(latest)));
        if (index < 0) {
            people.add(grown);
        } else {
            people.set(index, grown);
        }
        become(people, null);
    }

    /** Forgets someone, and the training that has seen them; nothing happens to a name that is not known. */
    public synchronized void forget(String label) {
        List<Person> people = new ArrayList<>(state.people());
        int index = indexOf(people, label);
        if (index >= 0) {
            people.remove(index);
            become(people, null);
            trainer.setWeights(HeadWeights.zeros(state.numClasses(), state.dimension()));
        }
    }

    /** Forgets everybody. */
    public synchronized void forgetAll() {
        become(List.of(), null);
        trainer.setWeights(HeadWeights.zeros(state.numClasses(), state.dimension()));
    }

    /**
     * Trains the head on all clips, from zeros: the same clips in the same order give the same head.
     *
     * @return the loss of the last step.
     * @throws IllegalStateException if fewer than two people are known.
     * @throws InterruptedException if the thread is interrupted; the head is untrained then.
     */
    public synchronized float train(Progress progress) throws InterruptedException {
        List<Person> people = state.people();
        if (people.size() < 2) {
            throw new IllegalStateException(
                    "training tells people apart and needs two, got " + people.size() + ". Enrol another.");
        }
        become(people, null); // answers come from the centroids until the head is whole
        HeadWeights start = HeadWeights.zeros(state.numClasses(), state.dimension());
        people.forEach(person -> start.active()[person.row()] = 1);
        trainer.setWeights(start);
        Rounds rounds = new Rounds(people, trainer.batch());
        int steps = STEPS_A_CLASS * people.size();
        float loss = 0;
        for (int step = 1; step <= steps; step++) {
            if (Thread.interrupted()) {
                throw new InterruptedException("training stopped at step " + step + " of " + steps);
            }
            rounds.next();
            loss = trainer.train(rounds.embeddings, rounds.rows, HeadTrainer.Rates.falling(step, steps));
            progress.onStep(step, steps, loss);
        }
        become(people, trainer.getWeights());
        return loss;
    }

    /** What the trained head says; null where there is none. Never waits for more than one step. */
    public HeadTrainer.Inference infer(float[] embedding) {
        synchronized (inference) {
            return state.trained() ? trainer.infer(embedding) : null;
        }
    }

    private void become(List<Person> people, HeadWeights weights) {
        synchronized (inference) {
            state = new HeadState(
                    state.modelHash(),
                    state.numClasses(),
                    state.dimension(),
                    Collections.unmodifiableList(new ArrayList<>(people)),
                    weights);
        }
    }

    private void check(float[] embedding) {
        boolean finite = true;
        for (float value : embedding) {
            finite &= Float.isFinite(value);
        }
        if (embedding.length != state.dimension() || !finite) {
            throw new IllegalArgumentException("an embedding has " + state.dimension() + " finite numbers, got "
                    + embedding.length + (finite ? "" : ", some not finite") + ". Record the clip again.");
        }
    }

    private int freeRow(List<Person> people) {
        for (int row = 0; row < state.numClasses(); row++) {
            int wanted = row;
            if (people.stream().noneMatch(person -> person.row() == wanted)) {
                return row;
            }
        }
        throw new IllegalArgumentException("this model tells at most " + state.numClasses() + " people apart, got one "
                + "more. Forget someone first.");
    }

    private static int indexOf(List<Person> people, String label) {
        for (int index = 0; index < people.size(); index++) {
            if (Labels.same(people.get(index).label(), label)) {
                return index;
            }
        }
        return -1;
    }

    /** Batches in which every clip comes once before any comes again: favouring someone would teach that instead. */
    private static final class Rounds {
        private final List<Integer> order = new ArrayList<>();
        private final List<float[]> clips = new ArrayList<>();
        private final List<Integer> clipRows = new ArrayList<>();
        private final Random random = new Random(0);
        private final int batch;
        private float[][] embeddings;
        private int[] rows;

        Rounds(List<Person> people, int batch) {
            this.batch = batch;
            for (Person person : people) {
                for (float[] clip : person.clips()) {
                    clips.add(clip);
                    clipRows.add(person.row());
                }
            }
        }

        void next() {
            if (order.isEmpty()) {
                for (int i = 0; i < clips.size(); i++) {
                    order.add(i);
                }
                Collections.shuffle(order, random);
            }
            List<Integer> chosen = order.subList(0, Math.min(batch, order.size()));
            embeddings = chosen.stream().map(clips::get).toArray(float[][]::new);
            rows = chosen.stream().mapToInt(clipRows::get).toArray();
            chosen.clear();
        }
    }
}
