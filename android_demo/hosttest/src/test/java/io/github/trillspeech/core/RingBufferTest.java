package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import io.github.trillspeech.core.RingBuffer.Chunk;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class RingBufferTest {
    /** Sample at a position: different at every position that could be confused with it. */
    private static short at(long position) {
        return (short) (position * 31 + position / 65_536);
    }

    private static short[] from(long position, int count) {
        short[] samples = new short[count];
        for (int i = 0; i < count; i++) {
            samples[i] = at(position + i);
        }
        return samples;
    }

    @Test
    void isAQueueThatLosesItsOldest() throws Exception {
        Random random = new Random(3);
        for (int run = 0; run < 500; run++) {
            int capacity = 1 + random.nextInt(20);
            RingBuffer ring = new RingBuffer(capacity);
            Deque<Long> queue = new ArrayDeque<>(); // positions
            long written = 0;
            long lost = 0;
            for (int step = 0; step < 50; step++) {
                int count = random.nextInt(30);
                if (random.nextBoolean()) {
                    ring.write(from(written, count), count);
                    for (int i = 0; i < count; i++) {
                        queue.add(written++);
                    }
                    for (; queue.size() > capacity; lost++) {
                        queue.remove();
                    }
                } else {
                    short[] into = new short[1 + count];
                    Chunk chunk = ring.read(into, 0);
                    assertEquals(Math.min(into.length, queue.size()), chunk.count());
                    for (int i = 0; i < chunk.count(); i++) {
                        long position = queue.remove();
                        assertEquals(position, chunk.position() + i);
                        assertEquals(at(position), into[i]);
                    }
                }
                assertEquals(written, ring.written());
                assertEquals(lost, ring.dropped());
            }
        }
    }

    @Test
    void twoThreadsLoseNothingButWhatIsCounted() throws Exception {
        int total = 3_000_000;
        RingBuffer ring = new RingBuffer(4096);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread recorder = new Thread(() -> {
            Random random = new Random(4);
            for (long position = 0; position < total; ) {
                int count = (int) Math.min(total - position, random.nextInt(2000));
                ring.write(from(position, count), count);
                position += count;
            }
            ring.close();
        });
        recorder.setUncaughtExceptionHandler((thread, error) -> failure.set(error));
        recorder.start();
        Random random = new Random(5);
        long read = 0;
        long next = 0;
        for (; ; ) {
            short[] into = new short[1 + random.nextInt(3000)];
            Chunk chunk = ring.read(into, 10_000);
            if (chunk.count() < 0) {
                break;
            }
            assertTrue(chunk.position() >= next && chunk.count() > 0);
            next = chunk.position() + chunk.count();
            read += chunk.count();
            for (int i = 0; i < chunk.count(); i++) {
                assertEquals(at(chunk.position() + i), into[i]);
            }
        }
        recorder.join();
        assertNull(failure.get());
        assertEquals(total, next);
        assertEquals(total, read + ring.dropped());
    }

    @Test
    void waitsForSamplesAndNotForever() throws Exception {
        RingBuffer ring = new RingBuffer(10);
        long start = System.nanoTime();
        assertEquals(new Chunk(0, 0), ring.read(new short[4], 50));
        assertTrue(System.nanoTime() - start >= 49_000_000);
        Thread late = new Thread(() -> {
            try {
                Thread.sleep(50);
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
            ring.write(from(0, 3), 3);
        });
        late.start();
        assertEquals(new Chunk(3, 0), ring.read(new short[4], 30_000));
        late.join();
    }

    @Test
    void closingWakesTheReader() throws Exception {
        RingBuffer ring = new RingBuffer(10);
        ring.write(from(0, 3), 3);
        ring.close();
        assertEquals(new Chunk(3, 0), ring.read(new short[4], 0));
        assertEquals(new Chunk(-1, 3), ring.read(new short[4], 30_000));
        assertThrows(IllegalStateException.class, () -> ring.write(new short[1], 1));
        RingBuffer other = new RingBuffer(10);
        Thread reader = new Thread(() -> assertDoesNotThrow(() -> other.read(new short[4], 600_000)));
        reader.start();
        while (reader.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
        other.close();
        reader.join(30_000);
        assertFalse(reader.isAlive());
    }

    @Test
    void saysWhatItTakes() {
        assertThrows(IllegalArgumentException.class, () -> new RingBuffer(0));
    }
}
