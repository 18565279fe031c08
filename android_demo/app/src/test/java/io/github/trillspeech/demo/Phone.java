package io.github.trillspeech.demo;

import static org.robolectric.Shadows.shadowOf;

import android.content.pm.PackageManager;
import android.os.Looper;
import android.view.View;
import android.widget.EditText;
import android.widget.TextView;
import java.util.function.BooleanSupplier;
import org.robolectric.Robolectric;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;

/** A phone with the app on it, as a thumb and an eye have it. */
final class Phone {
    private static final long PATIENCE_MS = 60_000; // machines that test are busy

    final DemoApplication application = (DemoApplication) RuntimeEnvironment.getApplication();
    ActivityController<MainActivity> activity;

    Phone(boolean allowed) {
        shadowOf(application.getPackageManager()).setSystemFeature(PackageManager.FEATURE_MICROPHONE, true);
        if (allowed) {
            allow();
        }
        Voices.MICROPHONE.plugIn();
        open();
    }

    void allow() {
        shadowOf(application).grantPermissions(android.Manifest.permission.RECORD_AUDIO);
    }

    void open() {
        activity = Robolectric.buildActivity(MainActivity.class).setup();
        until(() -> !text(R.id.state).equals(string(R.string.loading)));
    }

    void home() {
        activity.pause().stop();
    }

    /** The process ends, and the app is started again. */
    void restart() {
        activity.pause().stop().destroy();
        application.end();
        open();
    }

    void touch(int view) {
        idle();
        View touched = view(view);
        if (!touched.isEnabled() || !touched.isShown()) {
            throw new AssertionError("cannot be touched: " + text(view));
        }
        touched.performClick();
        idle();
    }

    void teach(String label, double hertz) {
        teach(label, label, hertz);
    }

    void teach(String typed, String label, double hertz) {
        Voices.MICROPHONE.speak(hertz);
        teach(typed, label);
    }

    /** From what is being said. */
    void teach(String typed, String label) {
        this.<EditText>view(R.id.label).setText(typed);
        touch(R.id.teach);
        until(() -> text(R.id.notice_text).equals(string(R.string.learned, label)));
        touch(R.id.notice_dismiss);
    }

    String text(int view) {
        return this.<TextView>view(view).getText().toString();
    }

    boolean visible(int view) {
        idle();
        return view(view).isShown();
    }

    String string(int text, Object... arguments) {
        return activity.get().getString(text, arguments);
    }

    <V extends View> V view(int view) {
        return activity.get().findViewById(view);
    }

    void until(BooleanSupplier condition) {
        long end = System.nanoTime() + PATIENCE_MS * 1_000_000;
        idle();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("it does not happen; state: " + text(R.id.state) + ", answer: "
                        + text(R.id.answer) + ", " + text(R.id.score) + ", notice: " + text(R.id.notice_text));
            }
            try {
                Thread.sleep(5);
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
            idle();
        }
    }

    private static void idle() {
        shadowOf(Looper.getMainLooper()).idle();
    }
}
