package io.github.trillspeech.demo;

import android.content.Context;
import android.os.Handler;
import android.os.Looper;
import io.github.trillspeech.core.Embedding;
import io.github.trillspeech.core.Enroller;
import io.github.trillspeech.core.HeadState;
import io.github.trillspeech.core.HeadStore;
import io.github.trillspeech.core.Labels;
import io.github.trillspeech.core.PersonalHead;
import io.github.trillspeech.core.Recognizer;
import io.github.trillspeech.core.StoreException;
import io.github.trillspeech.demo.Screen.Phase;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Microphone, model, and what was learned, tied together; a {@link Screen} comes out.
 *
 * <p>Its methods are called on the main thread and return at once. What takes time happens on a worker; sound has
 * threads of its own ({@link Hearing}).
 */
final class Session {
    static final String STATE_FILE = "head.bin";
    static final double ENROLL_SECONDS = 4;
    private static final int CLOSE_SECONDS = 5;

    private final Context context;
    private final HeadStore store;
    private final ExecutorService worker = Executors.newSingleThreadExecutor(task -> new Thread(task, "worker"));
    private final Handler main = new Handler(Looper.getMainLooper());

    // Made on the worker before the phase is IDLE, and the same ever after.
    private volatile SpeechModel model;
    private volatile PersonalHead head;
    private volatile Recognizer recognizer;

    private Hearing hearing; // main thread; null when nothing is recorded
    private volatile Ears ears; // those of the recording that runs
    private volatile Enrolment enrolment; // null when nobody is enrolled
    private Screen screen = new Screen(); // guarded by this
    private boolean posted; // guarded by this
    private Consumer<Screen> watcher; // main thread

    /** A voice that is being learned. */
    private record Enrolment(String label, Enroller enroller) {}

    Session(Context context, Supplier<SpeechModel> model) {
        this.context = context;
        this.store = new HeadStore(context.getFilesDir().toPath().resolve(STATE_FILE));
        worker.execute(() -> load(model));
    }

    /** Who is shown every change, on the main thread, and the present state at once; null for nobody. */
    void watch(Consumer<Screen> watcher) {
        this.watcher = watcher;
        if (watcher != null) {
            watcher.accept(screen());
        }
    }

    synchronized Screen screen() {
        return screen;
    }

    void listen() {
        if (screen().phase == Phase.IDLE) {
            recognizer.reset();
            ears = new Ears();
            hearing = new Hearing(
                    new MicrophoneSource(context, model.card().sampleRate()), model.embedder(), ears);
            update(screen -> {
                screen.enter(Phase.LISTENING);
                screen.notice = null;
            });
            hearing.start();
        }
    }

    /** Ends recording, and enrolling; what was heard is dropped. */
    void stop() {
        if (hearing != null) {
            hearing.stop();
            hearing = null;
            ears = null;
            enrolment = null;
            update(screen -> screen.enter(Phase.IDLE));
        }
    }

    /** Learns a voice from the next seconds of speech. */
    void teach(String typed) {
        try {
            String label = Labels.clean(typed);
            listen();
            if (screen().phase == Phase.LISTENING) {
                enrolment = new Enrolment(label, new Enroller(model.card().sampleRate(), ENROLL_SECONDS));
                update(screen -> screen.enter(Phase.ENROLLING));
            }
        } catch (IllegalArgumentException error) {
            tell(Notice.of(error));
        }
    }

    void cancelTeaching() {
        enrolment = null;
        update(screen -> {
            if (screen.phase == Phase.ENROLLING) {
                screen.enter(Phase.LISTENING);
            }
        });
    }

    void forget(String label) {
        work(() -> {
            head.forget(label);
            saved(Notice.done(R.string.forgotten, label));
        });
    }

    void train() {
        update(screen -> screen.training = 0);
        work(() -> {
            try {
                head.train((step, steps, loss) -> update(screen -> {
                    screen.training = (float) step / steps;
                    screen.loss = loss;
                }));
                saved(null);
            } finally {
                update(screen -> screen.training = -1);
            }
        });
    }

    /** Stops, takes nothing more on, and waits for what the worker has begun. */
    void close() {
        stop();
        watcher = null;
        worker.shutdown();
        try {
            worker.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    void tell(Notice notice) {
        update(screen -> screen.notice = notice);
    }

    private void load(Supplier<SpeechModel> opened) {
        try {
            model = opened.get();
            head = new PersonalHead(model.head(), model.card().sha256());
            recognizer = new Recognizer(head, Recognizer.DEFAULT_THRESHOLD, Recognizer.DEFAULT_WINDOWS);
        } catch (RuntimeException | LinkageError error) { // LinkageError: no native library for this processor
            update(screen -> {
                screen.enter(Phase.BROKEN);
                screen.notice = Notice.of(error);
            });
            return;
        }
        Notice notice = null;
        try {
            HeadState stored = store.load(model.card().sha256(), model.head().numClasses(), model.head().dimension());
            if (stored != null) {
                head.restore(stored);
            }
        } catch (StoreException error) {
            notice = Notice.of(error); // the next save replaces it
        }
        Notice told = notice;
        String about = context.getString(
                R.string.about, model.card().name(), model.card().version(), model.card().sha256().substring(0, 8));
        update(screen -> {
            screen.enter(Phase.IDLE);
            screen.know(head.state());
            screen.about = about;
            screen.notice = told;
        });
    }

    /** Off the main thread, one after the other; what goes wrong is told. */
    private void work(Work task) {
        worker.execute(() -> {
            try {
                task.run();
            } catch (InterruptedException | RuntimeException error) {
                tell(Notice.of(error));
            }
        });
    }

    private interface Work {
        void run() throws InterruptedException;
    }

    /** On the worker, after a change. */
    private void saved(Notice notice) {
        update(screen -> {
            screen.know(head.state());
            screen.notice = notice;
        });
        try {
            store.save(head.state());
        } catch (StoreException error) {
            tell(Notice.of(error));
        }
    }

    /** Changes what is seen, from any thread. Changes that come faster than the screen are shown together. */
    private synchronized void update(Consumer<Screen> change) {
        Screen changed = screen.clone();
        change.accept(changed);
        screen = changed;
        if (!posted) {
            posted = true;
            main.post(this::show);
        }
    }

    private void show() {
        Screen shown;
        synchronized (this) {
            posted = false;
            shown = screen;
        }
        if (watcher != null) {
            watcher.accept(shown);
        }
    }

    /** What is heard, on the threads of one recording; nothing of it counts any more when that is over. */
    private final class Ears implements Hearing.Listener {
        @Override
        public void onLevel(double levelDbfs) {
            change(screen -> screen.levelDbfs = levelDbfs);
        }

        @Override
        public void onSound(short[] pcm, int count) {
            Enrolment open = enrolment;
            if (open == null || ears != this) {
                return;
            }
            switch (open.enroller().push(pcm, count)) {
                case DONE -> {
                    cancelTeaching();
                    float[] clip = open.enroller().clip();
                    work(() -> {
                        head.add(open.label(), model.embedder().embedClip(clip).values());
                        saved(Notice.done(R.string.learned, open.label()));
                    });
                }
                case TOO_QUIET -> {
                    cancelTeaching();
                    tell(Notice.of(R.string.too_quiet));
                }
                default -> change(screen -> screen.enrolled = open.enroller().progress());
            }
        }

        @Override
        public void onWindow(Embedding embedding, boolean silent) {
            Recognizer.Answer answer = recognizer.push(embedding, silent);
            change(screen -> {
                screen.embedding = embedding.values();
                screen.answer = answer;
            });
        }

        @Override
        public void onEnd(Exception error) {
            main.post(() -> {
                if (ears == this) {
                    stop();
                    if (error != null) {
                        tell(Notice.of(error));
                    }
                }
            });
        }

        private void change(Consumer<Screen> change) {
            update(screen -> {
                if (ears == this && screen.recording()) {
                    change.accept(screen);
                }
            });
        }
    }
}
