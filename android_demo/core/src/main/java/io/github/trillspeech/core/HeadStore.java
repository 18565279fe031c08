package io.github.trillspeech.core;

import io.github.trillspeech.core.StoreException.Reason;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32;

/**
 * A {@link HeadState} in a file, in the app's private folder.
 *
 * <p>The file is whole or not there: it is written under another name, brought to the disk, and renamed. Big-endian:
 * "TRHS", version (int), bytes of the body (int), CRC-32 of the body (int), body ({@link HeadCodec}).
 */
public final class HeadStore {
    static final int MAGIC = 0x54524853; // "TRHS"
    static final int VERSION = 1;
    static final int HEADER_BYTES = 16;
    private static final long MAX_BYTES = 64_000_000;
    private static final long SPARE_BYTES = 1_000_000; // left free for the system

    private final Path file;
    private final Path temporary;

    /** @param file need not exist; its folder must. */
    public HeadStore(Path file) {
        this.file = file;
        this.temporary = file.resolveSibling(file.getFileName() + ".tmp");
    }

    /**
     * Writes the state; the one before stays until it is whole.
     *
     * @throws StoreException if the storage is full or the system refuses; the state before is still there.
     */
    public synchronized void save(HeadState state) throws StoreException {
        byte[] body = HeadCodec.encode(state);
        ByteBuffer bytes = ByteBuffer.allocate(HEADER_BYTES + body.length);
        bytes.putInt(MAGIC).putInt(VERSION).putInt(body.length).putInt(crc(body, 0, body.length)).put(body).flip();
        checkSpace(file.toAbsolutePath().getParent().toFile().getUsableSpace(), bytes.limit());
        try {
            write(bytes);
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException error) {
            delete(temporary);
            throw new StoreException(Reason.FAILED, "a state is written to " + file + ", got: " + error
                    + ". Free some storage and try again; the state before is still there.", error);
        }
    }

    /**
     * Reads the state.
     *
     * @return null if none was saved.
     * @throws StoreException if it is damaged, of another version of the app, or of another model; the file stays.
     */
    public synchronized HeadState load(String modelHash, int numClasses, int dimension) throws StoreException {
        delete(temporary); // of a save that was interrupted
        byte[] bytes = read();
        if (bytes == null) {
            return null;
        }
        ByteBuffer header = ByteBuffer.wrap(bytes);
        if (bytes.length < HEADER_BYTES || header.getInt() != MAGIC) {
            throw damaged("starts with TRHS", bytes.length + " bytes without", null);
        }
        int version = header.getInt();
        if (version != VERSION) {
            throw new StoreException(Reason.OTHER_VERSION, "this app reads states of version " + VERSION + ", got "
                    + version + ". Update the app, or enrol again.", null);
        }
        int length = header.getInt();
        if (length != bytes.length - HEADER_BYTES) {
            throw damaged("has " + length + " bytes behind its header", (bytes.length - HEADER_BYTES) + "", null);
        }
        if (header.getInt() != crc(bytes, HEADER_BYTES, length)) {
            throw damaged("has the checksum of its header", "another", null);
        }
        HeadState state;
        try {
            state = HeadCodec.decode(header.slice());
        } catch (IllegalArgumentException | java.nio.BufferUnderflowException error) {
            throw damaged("can be decoded", error.toString(), error);
        }
        return checkModel(state, HeadState.empty(modelHash, numClasses, dimension));
    }

    /** Removes the state, and what an interrupted save left. */
    public synchronized void delete() throws StoreException {
        delete(temporary);
        delete(file);
    }

    private HeadState checkModel(HeadState state, HeadState expected) throws StoreException {
        if (!HeadState.empty(state.modelHash(), state.numClasses(), state.dimension()).equals(expected)) {
            throw new StoreException(Reason.OTHER_MODEL, "a state belongs to the model it was learned with, "
                    + expected.modelHash() + " of " + expected.numClasses() + " times " + expected.dimension()
                    + ", got one of " + state.modelHash() + " of " + state.numClasses() + " times "
                    + state.dimension() + ". Enrol again: embeddings of two models cannot be compared.", null);
        }
        return state;
    }

    static void checkSpace(long usable, long needed) throws StoreException {
        if (usable < needed + SPARE_BYTES) {
            throw new StoreException(Reason.NO_SPACE, "saving needs " + (needed + SPARE_BYTES) + " bytes of storage, "
                    + "got " + usable + ". Free some; the state before is still there.", null);
        }
    }

    private void write(ByteBuffer bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(
                temporary,
                StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING,
                StandardOpenOption.WRITE)) {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true); // a rename may reach the disk before the bytes do
        }
    }

    private byte[] read() throws StoreException {
        try {
            long size = Files.size(file);
            if (size > MAX_BYTES) {
                throw damaged("has at most " + MAX_BYTES + " bytes", size + "", null);
            }
            return Files.readAllBytes(file);
        } catch (NoSuchFileException error) {
            return null;
        } catch (StoreException error) {
            throw error;
        } catch (IOException error) {
            throw new StoreException(Reason.FAILED,
                    "a state is read from " + file + ", got: " + error + ". Start the app again.", error);
        }
    }

    private static void delete(Path path) throws StoreException {
        try {
            Files.deleteIfExists(path);
        } catch (IOException error) {
            throw new StoreException(
                    Reason.FAILED, "an old file is deleted, got: " + error + ". Start the app again.", error);
        }
    }

    private static StoreException damaged(String rule, String got, Throwable cause) {
        return new StoreException(
                Reason.DAMAGED, "a stored state " + rule + ", got " + got + ". Forget it and enrol again.", cause);
    }

    static int crc(byte[] bytes, int start, int length) {
        CRC32 crc = new CRC32();
        crc.update(bytes, start, length);
        return (int) crc.getValue();
    }
}
