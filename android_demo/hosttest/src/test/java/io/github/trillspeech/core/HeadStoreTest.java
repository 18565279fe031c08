package io.github.trillspeech.core;

import static org.junit.jupiter.api.Assertions.*;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.trillspeech.core.StoreException.Reason;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class HeadStoreTest {
    private static final String HASH = "0123456789abcdef".repeat(4);
    private static final int CLASSES = 3;
    private static final int DIMENSION = 4;

    @TempDir
    Path folder;

    private Path file;
    private HeadStore store;

    @BeforeEach
    void open() {
        file = folder.resolve("people.trhs");
        store = new HeadStore(file);
    }

    private static float[] numbers(int count, int seed) {
        Random random = new Random(seed);
        float[] numbers = new float[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = (float) random.nextGaussian();
        }
        return numbers;
    }

    static HeadState state(int seed, boolean trained) {
        HeadWeights weights = new HeadWeights(
                numbers(CLASSES * DIMENSION, seed), numbers(CLASSES, seed + 1), numbers(CLASSES * DIMENSION, seed + 2),
                numbers(CLASSES, seed + 3), new float[] {1, 0, 1});
        return new HeadState(HASH, CLASSES, DIMENSION, List.of(
                new HeadState.Person(
                        "Zoë 👩‍👧", 2, List.of(numbers(DIMENSION, seed + 4), numbers(DIMENSION, seed + 5))),
                new HeadState.Person("b\"\\/", 0, List.of(numbers(DIMENSION, seed + 6)))), trained ? weights : null);
    }

    private HeadState load() throws StoreException {
        return store.load(HASH, CLASSES, DIMENSION);
    }

    private StoreException refused(Reason reason) {
        StoreException error = assertThrows(StoreException.class, this::load);
        assertEquals(reason, error.reason(), error.getMessage());
        return error;
    }

    private static void assertSame(HeadState expected, HeadState got) {
        assertArrayEquals(HeadCodec.encode(expected), HeadCodec.encode(got));
    }

    @Test
    void comesBackToTheLastBit() throws Exception {
        assertNull(load());
        for (boolean trained : new boolean[] {false, true}) {
            HeadState state = state(1, trained);
            store.save(state);
            HeadState got = load();
            assertSame(state, got);
            assertEquals(trained, got.trained());
            assertEquals("Zoë 👩‍👧", got.people().get(0).label());
            assertEquals(2, got.people().get(0).row());
            assertArrayEquals(state.people().get(0).clips().get(1), got.people().get(0).clips().get(1));
            if (trained) {
                assertArrayEquals(state.weights().weightsVelocity(), got.weights().weightsVelocity());
                assertArrayEquals(state.weights().active(), got.weights().active());
            }
        }
        store.save(HeadState.empty(HASH, CLASSES, DIMENSION));
        assertEquals(HeadState.empty(HASH, CLASSES, DIMENSION), load());
        store.delete();
        assertNull(load());
        store.delete();
    }

    @Test
    void aFileCutAnywhereIsRefused() throws Exception {
        store.save(state(1, true));
        byte[] whole = Files.readAllBytes(file);
        for (int length = 0; length < whole.length; length++) {
            Files.write(file, Arrays.copyOf(whole, length));
            assertTrue(refused(Reason.DAMAGED).getMessage().contains("Forget it and enrol again"));
        }
        Files.write(file, Arrays.copyOf(whole, whole.length + 1));
        refused(Reason.DAMAGED);
    }

    @Test
    void anyBitFlippedIsRefused() throws Exception {
        store.save(state(1, true));
        byte[] whole = Files.readAllBytes(file);
        for (int bit = 0; bit < 8 * whole.length; bit++) {
            byte[] altered = whole.clone();
            altered[bit / 8] ^= (byte) (1 << bit % 8);
            Files.write(file, altered);
            boolean version = bit / 8 >= 4 && bit / 8 < 8;
            refused(version ? Reason.OTHER_VERSION : Reason.DAMAGED);
        }
    }

    /** Bodies with a right checksum, as a bug or a meddler writes them: refused, or a state; no other exception. */
    @Test
    void nonsenseWithARightChecksumIsRefused() throws Exception {
        Random random = new Random(11);
        byte[] body = HeadCodec.encode(state(1, true));
        int refused = 0;
        for (int run = 0; run < 50_000; run++) {
            byte[] altered = run % 2 == 0 ? body.clone() : Arrays.copyOf(body, random.nextInt(body.length + 20));
            for (int i = random.nextInt(4); i >= 0 && altered.length > 4; i--) {
                int at = random.nextInt(altered.length - 4);
                switch (random.nextInt(3)) {
                    case 0 -> altered[at] = (byte) random.nextInt();
                    case 1 -> ByteBuffer.wrap(altered).putInt(at, Integer.MAX_VALUE - random.nextInt(3));
                    default -> ByteBuffer.wrap(altered).putInt(at, -random.nextInt(3));
                }
            }
            try {
                HeadState state = HeadCodec.decode(ByteBuffer.wrap(altered));
                assertArrayEquals(altered, HeadCodec.encode(state));
            } catch (IllegalArgumentException | java.nio.BufferUnderflowException error) {
                refused++;
            }
        }
        assertTrue(refused > 25_000, "refused " + refused);
        float[] infinite = {0, 1, Float.POSITIVE_INFINITY, 2};
        for (HeadState.Person second : List.of(
                new HeadState.Person("ann", 1, List.of(numbers(DIMENSION, 2))), // a name twice
                new HeadState.Person("Ben", 0, List.of(numbers(DIMENSION, 2))), // a row twice
                new HeadState.Person("Ben", CLASSES, List.of(numbers(DIMENSION, 2))),
                new HeadState.Person("B\n", 1, List.of(numbers(DIMENSION, 2))),
                new HeadState.Person("Ben", 1, List.of(infinite)),
                new HeadState.Person("Ben", 1, List.of()))) {
            HeadState.Person ann = new HeadState.Person("Ann", 0, List.of(numbers(DIMENSION, 1)));
            byte[] unsound = HeadCodec.encode(new HeadState(HASH, CLASSES, DIMENSION, List.of(ann, second), null));
            assertThrows(IllegalArgumentException.class, () -> HeadCodec.decode(ByteBuffer.wrap(unsound)));
        }
        byte[] lies = body.clone();
        ByteBuffer.wrap(lies).putInt(4 + 64, Integer.MAX_VALUE).putInt(4 + 64 + 4, Integer.MAX_VALUE);
        Files.write(file, ByteBuffer.allocate(16 + lies.length).putInt(HeadStore.MAGIC).putInt(HeadStore.VERSION)
                .putInt(lies.length).putInt(HeadStore.crc(lies, 0, lies.length)).put(lies).array());
        refused(Reason.DAMAGED);
    }

    @Test
    void aStateOfAnotherModelIsRefusedAndKept() throws Exception {
        store.save(state(1, false));
        String other = HASH.replace('0', 'f');
        for (StoreException error : List.of(
                assertThrows(StoreException.class, () -> store.load(other, CLASSES, DIMENSION)),
                assertThrows(StoreException.class, () -> store.load(HASH, CLASSES + 1, DIMENSION)),
                assertThrows(StoreException.class, () -> store.load(HASH, CLASSES, DIMENSION * 2)))) {
            assertEquals(Reason.OTHER_MODEL, error.reason());
            assertTrue(error.getMessage().contains("got one of " + HASH), error.getMessage());
        }
        assertSame(state(1, false), load());
    }

    @Test
    void anInterruptedSaveLeavesTheStateBefore() throws Exception {
        store.save(state(1, true));
        byte[] next = HeadCodec.encode(state(2, true));
        Path temporary = folder.resolve("people.trhs.tmp");
        for (int length : new int[] {0, 1, 16, next.length / 2, next.length}) {
            Files.write(temporary, Arrays.copyOf(next, length)); // as a process killed there leaves it
            assertSame(state(1, true), load());
            assertFalse(Files.exists(temporary));
        }
        Files.write(temporary, new byte[1_000_000]);
        store.save(state(3, false));
        assertSame(state(3, false), load());
    }

    /** Saves until it is killed: run by the next test in a process of its own. */
    public static void main(String[] arguments) throws Exception {
        HeadStore store = new HeadStore(Path.of(arguments[0]));
        for (int seed = 0; ; seed = (seed + 1) % 50) {
            store.save(state(seed, seed % 2 == 0));
            System.out.println(seed);
        }
    }

    @Test
    void aKilledProcessLeavesAWholeState() throws Exception {
        for (int run = 0; run < 3; run++) {
            Process saver = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                            "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"),
                            HeadStoreTest.class.getName(), file.toString())
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            try (var lines = saver.inputReader()) {
                for (int i = 0; i < 10 + 7 * run; i++) {
                    assertNotNull(lines.readLine(), "the saver saves");
                }
                saver.destroyForcibly();
                assertTrue(saver.waitFor(30, TimeUnit.SECONDS));
            }
            HeadState found = load();
            boolean whole = false;
            for (int seed = 0; seed < 50; seed++) {
                whole |= Arrays.equals(HeadCodec.encode(state(seed, seed % 2 == 0)), HeadCodec.encode(found));
            }
            assertTrue(whole);
        }
    }

    @Test
    void whoeverReadsTheFileSeesAWholeState() throws Exception {
        List<HeadState> states = Stream.of(1, 2).map(seed -> new HeadState(HASH, CLASSES, 200_000, List.of(
                new HeadState.Person("a", 0, List.of(numbers(200_000 * seed, seed)))), null)).toList();
        store.save(states.get(0));
        Set<Long> sizes = new HashSet<>();
        Thread saver = new Thread(() -> assertDoesNotThrow(() -> {
            for (int run = 0; run < 20; run++) {
                store.save(states.get(run % 2));
            }
        }));
        saver.start();
        while (saver.isAlive()) {
            sizes.add(Files.size(file));
        }
        sizes.removeIf(size -> states.stream().anyMatch(state -> size == 16 + HeadCodec.encode(state).length));
        assertEquals(Set.of(), sizes);
    }

    @Test
    void threadsSaveAndLoadWholeStates() throws Exception {
        store.save(state(0, true));
        List<byte[]> all = Stream.of(0, 1, 2).map(seed -> HeadCodec.encode(state(seed, true))).toList();
        List<Throwable> failures = new java.util.concurrent.CopyOnWriteArrayList<>();
        List<Thread> threads = Stream.of(0, 1, 2).map(seed -> new Thread(() -> {
            try {
                for (int run = 0; run < 50; run++) {
                    store.save(state(seed, true));
                    byte[] got = HeadCodec.encode(load());
                    assertTrue(all.stream().anyMatch(state -> Arrays.equals(state, got)));
                }
            } catch (Throwable error) {
                failures.add(error);
            }
        })).toList();
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(List.of(), failures);
    }

    @Test
    void aFullStorageIsSaidBeforeAnythingIsTouched() throws Exception {
        StoreException error = assertThrows(StoreException.class, () -> HeadStore.checkSpace(1_000_500, 501));
        assertEquals(Reason.NO_SPACE, error.reason());
        assertTrue(error.getMessage().contains("needs 1000501 bytes of storage, got 1000500"), error.getMessage());
        HeadStore.checkSpace(1_000_501, 501);
        Path full = Path.of("/proc/self"); // where no byte is free
        assumeTrue(Files.isDirectory(full), "needs Linux");
        HeadStore there = new HeadStore(full.resolve("people.trhs"));
        assertEquals(Reason.NO_SPACE, assertThrows(StoreException.class, () -> there.save(state(1, true))).reason());
    }

    @Test
    void whatTheSystemRefusesIsSaid() throws Exception {
        Files.createDirectories(file.resolve("inside")); // a folder that is not empty cannot be replaced
        StoreException save = assertThrows(StoreException.class, () -> store.save(state(1, true)));
        assertEquals(Reason.FAILED, save.reason());
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of(file), left.toList());
        }
        refused(Reason.FAILED);
    }

    @Test
    void aHugeFileIsNotRead() throws IOException {
        try (var huge = new java.io.RandomAccessFile(file.toFile(), "rw")) {
            huge.setLength(3_000_000_000L); // sparse
        }
        assertTrue(refused(Reason.DAMAGED).getMessage().contains("at most 64000000 bytes, got 3000000000"));
    }
}
