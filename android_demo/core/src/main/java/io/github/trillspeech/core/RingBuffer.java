package io.github.trillspeech.core;

/**
 * Samples on their way from the recorder's thread to the one that embeds.
 *
 * <p>The recorder must never wait: when the reader is too slow, the oldest samples are dropped, and {@link Windower}
 * sees the gap by their positions. One thread writes, one reads.
 */
public final class RingBuffer {
    private final short[] ring;
    private long written; // samples since the start
    private long next; // position of the next one to read
    private long dropped;
    private boolean closed;

    /**
     * @param capacity in samples; two seconds bear a busy phone.
     * @throws IllegalArgumentException if it is not positive.
     */
    public RingBuffer(int capacity) {
        if (capacity < 1) {
            throw new IllegalArgumentException("capacity must be positive, got " + capacity + ". Take two seconds.");
        }
        ring = new short[capacity];
    }

    /**
     * Takes the first {@code count} samples. Never waits.
     *
     * @throws IllegalStateException if the buffer is closed.
     */
    public synchronized void write(short[] pcm, int count) {
        if (closed) {
            throw new IllegalStateException("a closed buffer takes no samples, got " + count + ". Make a new one.");
        }
        for (int i = 0; i < count; i++) {
            ring[(int) ((written + i) % ring.length)] = pcm[i];
        }
        written += count;
        long overwritten = written - ring.length - next;
        if (overwritten > 0) {
            next += overwritten;
            dropped += overwritten;
        }
        notifyAll();
    }

    /**
     * Gives what has come, at most {@code into.length} samples; waits when there is none.
     *
     * @param timeoutMs longest wait.
     * @return count and position of the samples; a count of 0 after the time is up, -1 when the buffer is closed and
     *     all has been read.
     */
    public synchronized Chunk read(short[] into, long timeoutMs) throws InterruptedException {
        // nanoTime counts on when the wall clock is set.
        long deadline = System.nanoTime() + timeoutMs * 1_000_000;
        while (next == written && !closed) {
            long left = (deadline - System.nanoTime() + 999_999) / 1_000_000;
            if (left <= 0) {
                return new Chunk(0, next);
            }
            wait(left);
        }
        int count = (int) Math.min(into.length, written - next);
        if (count == 0) {
            return new Chunk(-1, next);
        }
        for (int i = 0; i < count; i++) {
            into[i] = ring[(int) ((next + i) % ring.length)];
        }
        next += count;
        return new Chunk(count, next - count);
    }

    /** No more will come: the reader gets the rest, then -1. */
    public synchronized void close() {
        closed = true;
        notifyAll();
    }

    /** Samples written so far. */
    public synchronized long written() {
        return written;
    }

    /** Samples lost because they were not read in time. */
    public synchronized long dropped() {
        return dropped;
    }

    /**
     * @param count of samples read.
     * @param position of the first, in samples since the start, lost ones counted.
     */
    public record Chunk(int count, long position) {}
}
