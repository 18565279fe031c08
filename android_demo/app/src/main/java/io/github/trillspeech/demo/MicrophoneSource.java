package io.github.trillspeech.demo;

import android.annotation.SuppressLint;
import android.content.Context;
import android.content.pm.PackageManager;
import android.media.AudioFormat;
import android.media.AudioRecord;
import android.media.MediaRecorder;
import io.github.trillspeech.core.AudioSource;
import io.github.trillspeech.core.MicrophoneException;
import io.github.trillspeech.core.MicrophoneException.Reason;

/** The phone's microphone: AudioRecord as an {@link AudioSource}. */
final class MicrophoneSource implements AudioSource {
    private final Context context;
    private final int sampleRate;
    private volatile AudioRecord record; // null unless open
    private volatile Thread reader;
    private volatile boolean closed;

    /** @param sampleRate the model's; Android resamples, with a filter, what the hardware gives. */
    MicrophoneSource(Context context, int sampleRate) {
        this.context = context.getApplicationContext();
        this.sampleRate = sampleRate;
    }

    @Override
    @SuppressLint("MissingPermission") // checked below, and the constructor says so itself
    public void open() throws MicrophoneException {
        if (!context.getPackageManager().hasSystemFeature(PackageManager.FEATURE_MICROPHONE)) {
            throw new MicrophoneException(Reason.ABSENT, "sound comes from a microphone, this device has none.");
        }
        if (context.checkSelfPermission(android.Manifest.permission.RECORD_AUDIO) != PackageManager.PERMISSION_GRANTED) {
            throw new MicrophoneException(Reason.REFUSED, "the microphone needs the permission RECORD_AUDIO. Ask for it.");
        }
        reader = Thread.currentThread();
        int smallest = AudioRecord.getMinBufferSize(
                sampleRate, AudioFormat.CHANNEL_IN_MONO, AudioFormat.ENCODING_PCM_16BIT);
        if (smallest <= 0) {
            throw busy("no buffer for " + sampleRate + " Hz, code " + smallest);
        }
        try {
            record = new AudioRecord(
                    // VOICE_RECOGNITION asks for sound without gain control and noise suppression.
                    MediaRecorder.AudioSource.VOICE_RECOGNITION,
                    sampleRate,
                    AudioFormat.CHANNEL_IN_MONO,
                    AudioFormat.ENCODING_PCM_16BIT,
                    // A second: a pause of the garbage collector must not cost samples.
                    Math.max(smallest, sampleRate * Short.BYTES));
            if (record.getState() != AudioRecord.STATE_INITIALIZED) {
                throw busy("AudioRecord is not initialised");
            }
            record.startRecording();
        } catch (IllegalArgumentException | IllegalStateException | SecurityException error) {
            close();
            throw busy(error.getMessage());
        } catch (MicrophoneException error) {
            close();
            throw error;
        }
        if (record.getRecordingState() != AudioRecord.RECORDSTATE_RECORDING) {
            close();
            throw busy("it does not start");
        }
    }

    @Override
    public int read(short[] into) throws MicrophoneException {
        if (closed) {
            return -1;
        }
        int count = record.read(into, 0, into.length);
        if (closed) {
            return -1;
        }
        if (count < 0) {
            throw new MicrophoneException(Reason.LOST, "the microphone gives samples, got code " + count + ". Start again.");
        }
        return count;
    }

    /** Only the reading thread releases the recorder: under a read that runs, that would be a crash in native code. */
    @Override
    public void close() {
        closed = true;
        AudioRecord open = record;
        if (open == null) {
            return;
        }
        try {
            open.stop();
        } catch (IllegalStateException error) {
            // It had not started, or is released.
        }
        if (Thread.currentThread() == reader) {
            open.release();
            record = null;
        }
    }

    private static MicrophoneException busy(String got) {
        return new MicrophoneException(
                Reason.BUSY, "the microphone must be free (" + got + "). End calls and other recordings, and try again.");
    }
}
