package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;

import io.github.trillspeech.core.MicrophoneException.Reason;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@Timeout(60)
class CaptureTest {
    private static final int RATE = 16_000;

    /** A microphone that plays an array. */
    static class Sound implements AudioSource {
        final AtomicInteger closed = new AtomicInteger();
        Runnable before = () -> {};
        volatile long taken; // by whoever reads the ring
        private final short[] samples;
        private int at;

        Sound(short[] samples) {
            this.samples = samples;
        }

        @Override
        public void open() throws MicrophoneException {}

        @Override
        public int read(short[] into) throws MicrophoneException {
            before.run();
            int count = Math.min(into.length, samples.length - at);
            System.arraycopy(samples, at, into, 0, count);
            at += count;
            return count == 0 ? -1 : count;
        }

        @Override
        public void close() {
            closed.incrementAndGet();
        }
    }

    static final class Log implements Capture.Listener {
        final List<Double> levels = Collections.synchronizedList(new ArrayList<>());
        final CountDownLatch ended = new CountDownLatch(1);
        volatile MicrophoneException error;

        @Override
        public void onLevel(double levelDbfs) {
            levels.add(levelDbfs);
        }

        @Override
        public void onEnd(MicrophoneException reason) {
            error = reason;
            ended.countDown();
        }
    }

    private static Log run(AudioSource source, RingBuffer ring) {
        Log log = new Log();
        new Capture(source, ring, RATE, log).run();
        assertEquals(0, log.ended.getCount());
        return log;
    }

    @Test
    void samplesArriveAndTheMicrophoneIsGivenBack() throws Exception {
        short[] noise = Vectors.noise(10_001, 5, 1);
        Sound sound = new Sound(noise);
        RingBuffer ring = new RingBuffer(RATE);
        Log log = run(sound, ring);
        assertNull(log.error);
        assertEquals(1, sound.closed.get());
        short[] got = new short[RATE];
        assertEquals(noise.length, ring.read(got, 0).count());
        assertArrayEquals(noise, java.util.Arrays.copyOf(got, noise.length));
        assertEquals(-1, ring.read(got, 0).count());
        assertEquals((noise.length + 319) / 320, log.levels.size());
        assertTrue(log.levels.stream().allMatch(level -> level > -6 && level < -3), "noise lies at -4.8 dB");
    }

    @Test
    void aMicrophoneThatGivesZerosIsNoticed() {
        Sound sound = new Sound(new short[10 * RATE]);
        RingBuffer ring = new RingBuffer(RATE);
        Log log = run(sound, ring);
        assertEquals(Reason.ZEROS, log.error.reason());
        assertEquals(2 * RATE, ring.written(), 320);
        assertTrue(log.error.getMessage().contains("Switch microphone access on"));
        assertTrue(log.levels.stream().allMatch(level -> level == Pcm.SILENCE_DBFS));
    }

    @Test
    void aQuietRoomIsNoDeadMicrophone() {
        short[] quiet = new short[10 * RATE];
        for (int i = 0; i < quiet.length; i += RATE) {
            quiet[i] = 1; // one bit, once a second
        }
        assertNull(run(new Sound(quiet), new RingBuffer(RATE)).error);
    }

    @ParameterizedTest
    @EnumSource(names = {"ABSENT", "REFUSED", "BUSY"})
    void aMicrophoneThatDoesNotOpenSaysWhy(Reason reason) throws Exception {
        Sound sound = new Sound(new short[10]) {
            @Override
            public void open() throws MicrophoneException {
                throw new MicrophoneException(reason, "no");
            }
        };
        RingBuffer ring = new RingBuffer(10);
        Log log = run(sound, ring);
        assertEquals(reason, log.error.reason());
        assertEquals(-1, ring.read(new short[1], 0).count());
        assertEquals(1, sound.closed.get());
    }

    @Test
    void aMicrophoneThatIsLostSaysSo() {
        Sound lost = new Sound(new short[10]) {
            @Override
            public int read(short[] into) throws MicrophoneException {
                throw new MicrophoneException(Reason.LOST, "unplugged");
            }
        };
        assertEquals(Reason.LOST, run(lost, new RingBuffer(10)).error.reason());
        Sound empty = new Sound(new short[10]) {
            @Override
            public int read(short[] into) {
                return 0;
            }
        };
        assertEquals(Reason.LOST, run(empty, new RingBuffer(10)).error.reason());
    }

    @Test
    void stopsFromAnotherThreadWithoutAnError() throws Exception {
        CountDownLatch unblocked = new CountDownLatch(1);
        CountDownLatch reading = new CountDownLatch(1);
        Sound blocking = new Sound(new short[10]) {
            @Override
            public int read(short[] into) throws MicrophoneException {
                reading.countDown();
                try {
                    unblocked.await();
                } catch (InterruptedException error) {
                    throw new AssertionError(error);
                }
                throw new MicrophoneException(Reason.LOST, "closed under a read");
            }

            @Override
            public void close() {
                unblocked.countDown();
            }
        };
        Log log = new Log();
        Capture capture = new Capture(blocking, new RingBuffer(10), RATE, log);
        Thread thread = new Thread(capture);
        thread.start();
        assertTrue(reading.await(30, TimeUnit.SECONDS));
        capture.stop();
        assertTrue(log.ended.await(30, TimeUnit.SECONDS));
        assertNull(log.error);
        thread.join();
    }
}
