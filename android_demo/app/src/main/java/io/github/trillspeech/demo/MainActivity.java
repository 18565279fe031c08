package io.github.trillspeech.demo;

import android.app.Activity;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.net.Uri;
import android.os.Bundle;
import android.provider.Settings;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowManager;
import android.view.inputmethod.InputMethodManager;
import android.widget.Button;
import android.widget.EditText;
import android.widget.TextView;
import io.github.trillspeech.core.HeadState.Person;
import io.github.trillspeech.core.Recognizer;
import io.github.trillspeech.demo.Screen.Phase;
import java.util.List;

/** The one screen: shows what the session says, and passes on what is touched. */
public final class MainActivity extends Activity {
    private static final String MICROPHONE = android.Manifest.permission.RECORD_AUDIO;
    private static final int LISTEN = 1; // what the permission is asked for
    private static final int TEACH = 2;

    private Session session;
    private List<Person> shownPeople; // in the rows

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        session = ((DemoApplication) getApplication()).session();
        on(R.id.listen, () -> {
            if (session.screen().recording()) {
                session.stop();
            } else {
                withMicrophone(LISTEN);
            }
        });
        on(R.id.teach, () -> {
            if (session.screen().phase == Phase.ENROLLING) {
                session.cancelTeaching();
            } else {
                withMicrophone(TEACH);
            }
        });
        on(R.id.train, session::train);
        on(R.id.notice_dismiss, () -> session.tell(null));
        on(R.id.notice_settings, this::openSettings);
    }

    @Override
    protected void onStart() {
        super.onStart();
        session.watch(this::show);
    }

    @Override
    protected void onStop() {
        super.onStop();
        session.watch(null);
        if (!isChangingConfigurations()) {
            session.stop(); // nobody is listened to behind their back
        }
    }

    private void withMicrophone(int purpose) {
        if (checkSelfPermission(MICROPHONE) == PackageManager.PERMISSION_GRANTED) {
            start(purpose);
        } else {
            requestPermissions(new String[] {MICROPHONE}, purpose);
        }
    }

    @Override
    public void onRequestPermissionsResult(int purpose, String[] permissions, int[] results) {
        if (results.length == 0) {
            return; // the question was put away; it can be asked again
        }
        if (results[0] == PackageManager.PERMISSION_GRANTED) {
            start(purpose);
        } else if (shouldShowRequestPermissionRationale(MICROPHONE)) {
            session.tell(Notice.of(R.string.refused));
        } else {
            session.tell(new Notice(R.string.refused_for_good, "", Notice.Kind.WRONG, true)); // the system will not ask any more
        }
    }

    private void start(int purpose) {
        if (purpose == LISTEN) {
            session.listen();
            return;
        }
        EditText label = findViewById(R.id.label);
        getSystemService(InputMethodManager.class).hideSoftInputFromWindow(label.getWindowToken(), 0);
        label.clearFocus();
        session.teach(label.getText().toString());
    }

    private void openSettings() {
        session.tell(null);
        startActivity(new Intent(
                Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", getPackageName(), null)));
    }

    private void show(Screen screen) {
        boolean ready = screen.phase != Phase.LOADING && screen.phase != Phase.BROKEN;
        boolean enrolling = screen.phase == Phase.ENROLLING;
        showNotice(screen.notice);
        text(R.id.state, state(screen));
        text(R.id.answer, answer(screen.answer));
        text(R.id.score, score(screen.answer));
        this.<LevelView>findViewById(R.id.level).show(screen.levelDbfs);
        this.<EmbeddingView>findViewById(R.id.embedding).show(screen.embedding);
        button(R.id.listen, screen.recording() ? R.string.stop : R.string.listen, ready);
        button(R.id.teach, enrolling ? R.string.cancel : R.string.teach, ready);
        button(R.id.train, R.string.train, ready && screen.people.size() >= 2 && screen.training < 0 && !enrolling);
        text(R.id.trained, training(screen));
        text(R.id.about, screen.about);
        showPeople(screen.people);
        int awake = WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON;
        getWindow().setFlags(screen.recording() ? awake : 0, awake);
    }

    private String state(Screen screen) {
        return switch (screen.phase) {
            case LOADING -> getString(R.string.loading);
            case BROKEN -> getString(R.string.broken);
            case IDLE -> getString(R.string.idle);
            case ENROLLING -> getString(R.string.enrolling, Math.round(100 * screen.enrolled));
            case LISTENING -> getString(
                    screen.answer == null || screen.answer.kind() == Recognizer.Kind.KNOWN
                                    || screen.answer.kind() == Recognizer.Kind.UNKNOWN
                            ? R.string.listening
                            : screen.answer.kind() == Recognizer.Kind.SILENCE ? R.string.quiet : R.string.nobody_enrolled);
        };
    }

    private String answer(Recognizer.Answer answer) {
        if (answer == null) {
            return getString(R.string.no_answer);
        }
        return switch (answer.kind()) {
            case KNOWN -> answer.label();
            case UNKNOWN -> getString(R.string.unknown);
            case SILENCE, NOBODY_ENROLLED -> getString(R.string.no_answer);
        };
    }

    private String score(Recognizer.Answer answer) {
        if (answer == null || answer.label().isEmpty()) {
            return getString(R.string.score_none);
        }
        for (Recognizer.Score score : answer.scores()) {
            if (answer.byHead() && score.label().equals(answer.label())) {
                return getString(R.string.score_head, answer.label(), answer.similarity(), score.score());
            }
        }
        return getString(R.string.score, answer.label(), answer.similarity());
    }

    private String training(Screen screen) {
        if (screen.training >= 0) {
            return getString(R.string.training, Math.round(100 * screen.training));
        }
        if (screen.people.size() < 2) {
            return getString(R.string.train_needs_two);
        }
        if (!screen.trained) {
            return getString(R.string.untrained);
        }
        return Float.isNaN(screen.loss) ? getString(R.string.trained) : getString(R.string.trained_loss, screen.loss);
    }

    private void showPeople(List<Person> people) {
        if (people.equals(shownPeople)) {
            return; // rows that are made anew lose the focus
        }
        if (shownPeople != null && clips(people) > clips(shownPeople)) {
            this.<EditText>findViewById(R.id.label).setText(""); // ready for the next
        }
        shownPeople = people;
        findViewById(R.id.people_none).setVisibility(people.isEmpty() ? View.VISIBLE : View.GONE);
        ViewGroup rows = findViewById(R.id.rows);
        rows.removeAllViews();
        for (Person person : people) {
            View row = getLayoutInflater().inflate(R.layout.row, rows, false);
            row.<TextView>findViewById(R.id.row_label).setText(person.label());
            int clips = person.clips().size();
            row.<TextView>findViewById(R.id.row_clips)
                    .setText(getResources().getQuantityString(R.plurals.clips, clips, clips));
            Button forget = row.findViewById(R.id.row_forget);
            forget.setContentDescription(getString(R.string.forget_label, person.label()));
            forget.setOnClickListener(touched -> session.forget(person.label()));
            rows.addView(row);
        }
    }

    private static int clips(List<Person> people) {
        return people.stream().mapToInt(person -> person.clips().size()).sum();
    }

    private void showNotice(Notice notice) {
        View card = findViewById(R.id.notice);
        card.setVisibility(notice == null ? View.GONE : View.VISIBLE);
        if (notice != null) {
            card.setBackgroundResource(notice.kind() == Notice.Kind.DONE ? R.drawable.card : R.drawable.warning);
            text(R.id.notice_text, notice.text(this));
            findViewById(R.id.notice_settings).setVisibility(notice.settings() ? View.VISIBLE : View.GONE);
        }
    }

    private void on(int view, Runnable touched) {
        findViewById(view).setOnClickListener(ignored -> touched.run());
    }

    /** A text that does not change is not set: a screen reader would say it again. */
    private void text(int view, String text) {
        TextView shown = findViewById(view);
        if (!text.contentEquals(shown.getText())) {
            shown.setText(text);
        }
    }

    private void button(int view, int text, boolean enabled) {
        text(view, getString(text));
        findViewById(view).setEnabled(enabled);
    }
}
