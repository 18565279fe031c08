package io.github.trillspeech.core;

import io.github.trillspeech.core.HeadState.Person;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Says who speaks: by the trained head, or by cosines to centroids as long as there is none.
 *
 * <p>A head knows only the people it was trained on. Whether it is one of them at all, the cosine to that person's
 * centroid says, trained or not.
 */
public final class Recognizer {
    /**
     * Cosine under which it is nobody known. Between the clips of four seconds of 40 speakers, one enrolled each, the
     * packaged model mistakes 9 % of a speaker's other clips for another's at .78, and 9 % of others' for the
     * speaker's; with three enrolled each, .83 and 6 %. Another model wants another: hosttest/threshold.py measures it.
     */
    public static final double DEFAULT_THRESHOLD = 0.78;

    /** Windows of a second that an answer looks back on. */
    public static final int DEFAULT_WINDOWS = 3;

    /** What an answer is. */
    public enum Kind {
        /** Nobody is enrolled. */
        NOBODY_ENROLLED,
        /** Nobody speaks. */
        SILENCE,
        /** Somebody who is not enrolled. */
        UNKNOWN,
        /** {@link Answer#label} speaks. */
        KNOWN
    }

    /**
     * @param kind what it is.
     * @param label of the most likely person, also when unknown; "" without any.
     * @param similarity cosine to that person's centroid: what the threshold is held against.
     * @param byHead whether scores are the head's probabilities; cosines otherwise.
     * @param scores of all people, in their order.
     * @param timestampMs of the last window.
     */
    public record Answer(
            Kind kind, String label, double similarity, boolean byHead, List<Score> scores, long timestampMs) {}

    /** A person's score. */
    public record Score(String label, double score) {}

    private final PersonalHead head;
    private final double threshold;
    private final int windows;
    private final Deque<float[]> recent = new ArrayDeque<>();
    private HeadState known; // of which centroids were made
    private List<float[]> centroids = List.of();

    /**
     * @param threshold cosine in [-1, 1].
     * @param windows to average over, at least one.
     */
    public Recognizer(PersonalHead head, double threshold, int windows) {
        if (!(threshold >= -1 && threshold <= 1) || windows < 1) {
            throw new IllegalArgumentException("a threshold is a cosine and windows are positive, got " + threshold
                    + " and " + windows + ". Start with " + DEFAULT_THRESHOLD + " and " + DEFAULT_WINDOWS + ".");
        }
        this.head = head;
        this.threshold = threshold;
        this.windows = windows;
    }

    /** Takes the next window of a stream; silence starts the average anew. */
    public synchronized Answer push(Embedding embedding, boolean silent) {
        if (silent) {
            recent.clear();
            return new Answer(Kind.SILENCE, "", 0, false, List.of(), embedding.timestampMs());
        }
        recent.addLast(embedding.values());
        if (recent.size() > windows) {
            recent.removeFirst();
        }
        return recognize(new Embedding(CosineScorer.centroid(new ArrayList<>(recent)), embedding.timestampMs()));
    }

    /** Forgets the windows before, at the start of another recording. */
    public synchronized void reset() {
        recent.clear();
    }

    /** Says who speaks in one embedding, whatever came before. */
    public synchronized Answer recognize(Embedding embedding) {
        HeadState state = head.state();
        List<Person> people = state.people();
        if (people.isEmpty()) {
            return new Answer(Kind.NOBODY_ENROLLED, "", 0, false, List.of(), embedding.timestampMs());
        }
        double[] cosines = cosines(state, embedding.values());
        HeadTrainer.Inference inference = state.trained() ? head.infer(embedding.values()) : null;
        List<Score> scores = new ArrayList<>();
        int best = 0;
        for (int i = 0; i < cosines.length; i++) {
            Person person = people.get(i);
            scores.add(new Score(
                    person.label(), inference == null ? cosines[i] : inference.probabilities()[person.row()]));
            best = scores.get(i).score() > scores.get(best).score() ? i : best;
        }
        Kind kind = cosines[best] >= threshold ? Kind.KNOWN : Kind.UNKNOWN;
        return new Answer(
                kind, people.get(best).label(), cosines[best], inference != null, scores, embedding.timestampMs());
    }

    private double[] cosines(HeadState state, float[] embedding) {
        if (state != known) {
            List<float[]> made = new ArrayList<>();
            state.people().forEach(person -> made.add(CosineScorer.centroid(person.clips())));
            centroids = made;
            known = state;
        }
        return centroids.stream().mapToDouble(centroid -> CosineScorer.cosine(centroid, embedding)).toArray();
    }
}
