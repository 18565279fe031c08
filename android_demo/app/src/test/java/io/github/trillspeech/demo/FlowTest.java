package io.github.trillspeech.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.content.Intent;
import android.content.pm.PackageManager;
import android.content.res.Configuration;
import android.media.AudioRecord;
import android.view.ViewGroup;
import android.widget.Button;
import io.github.trillspeech.core.ModelException;
import java.io.File;
import java.nio.file.Files;
import org.junit.After;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.annotation.Config;

/** The app from the first touch to the next start, over a fake model and a fake microphone, on old and new Android. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = {26, 34, 35}, application = FakeApplication.class)
public final class FlowTest {
    private static final double ADA = 400;
    private static final double BEN = 1300;
    private static final double STRANGER = 2700;
    private static final double QUIET = 0;

    private Phone phone;

    @After
    public void silence() {
        FakeApplication.refusal = null;
        phone.application.end();
    }

    @Test
    public void enrolsRecognisesTrainsForgetsAndRemembers() throws Exception {
        phone = new Phone(true);
        assertFalse(phone.view(R.id.train).isEnabled());
        phone.teach("Ada", ADA);
        phone.teach("  Ben\u0007 ", "Ben", BEN);
        phone.until(() -> phone.text(R.id.answer).equals("Ben"));

        phone.activity.configurationChange(turned()).visible();
        assertTrue("listens on through a rotation", phone.application.session().screen().recording());
        hears(ADA, "Ada");
        hears(STRANGER, phone.string(R.string.unknown));
        Voices.MICROPHONE.speak(QUIET);
        phone.until(() -> phone.text(R.id.state).equals(phone.string(R.string.quiet)));

        phone.touch(R.id.train);
        phone.until(() -> phone.text(R.id.trained).startsWith("Trained on this device, loss"));
        hears(BEN, "Ben");
        hears(STRANGER, phone.string(R.string.unknown));

        phone.restart();
        assertEquals(phone.string(R.string.trained), phone.text(R.id.trained));
        phone.touch(R.id.listen);
        hears(ADA, "Ada");

        forget(0);
        phone.until(() -> phone.text(R.id.notice_text).equals(phone.string(R.string.forgotten, "Ada")));
        hears(ADA, phone.string(R.string.unknown));
        phone.restart();
        assertEquals(1, phone.<ViewGroup>view(R.id.rows).getChildCount());
        assertEquals(phone.string(R.string.train_needs_two), phone.text(R.id.trained));
    }

    @Test
    public void asksForTheMicrophoneAndBearsARefusal() {
        phone = new Phone(false);
        phone.touch(R.id.listen);
        assertEquals(
                android.Manifest.permission.RECORD_AUDIO,
                shadowOf(phone.activity.get()).getLastRequestedPermission().requestedPermissions[0]);
        answer(PackageManager.PERMISSION_DENIED);
        tells(R.string.refused_for_good);
        phone.touch(R.id.notice_settings);
        Intent opened = shadowOf(phone.activity.get()).getNextStartedActivity();
        assertEquals(android.provider.Settings.ACTION_APPLICATION_DETAILS_SETTINGS, opened.getAction());

        phone.touch(R.id.listen);
        phone.allow();
        answer(PackageManager.PERMISSION_GRANTED);
        phone.until(() -> phone.application.session().screen().recording());
    }

    @Test
    public void stopsInTheBackground() {
        phone = new Phone(true);
        phone.touch(R.id.listen);
        phone.home();
        assertFalse(phone.application.session().screen().recording());
    }

    @Test
    public void tellsWhatIsWrongWithTheMicrophone() {
        phone = new Phone(true);
        phone.touch(R.id.listen);
        Voices.MICROPHONE.fail(AudioRecord.ERROR_DEAD_OBJECT);
        tells(R.string.lost);
        assertEquals(phone.string(R.string.listen), phone.text(R.id.listen));

        Voices.MICROPHONE.speak(new short[16_000]);
        phone.touch(R.id.listen);
        tells(R.string.zeros);

        shadowOf(phone.application.getPackageManager()).setSystemFeature(PackageManager.FEATURE_MICROPHONE, false);
        phone.touch(R.id.listen);
        tells(R.string.absent);
    }

    @Test
    public void learnsNothingFromSilenceOrWithoutAName() {
        phone = new Phone(true);
        phone.touch(R.id.teach);
        assertTrue(phone.text(R.id.notice_text), phone.text(R.id.notice_text).startsWith("a name has"));
        assertFalse(phone.application.session().screen().recording());

        phone.<android.widget.EditText>view(R.id.label).setText("Ada");
        phone.touch(R.id.teach);
        tells(R.string.too_quiet);
        assertTrue(phone.visible(R.id.people_none));
    }

    @Test
    public void saysSoWhenTheStateCannotBeRead() throws Exception {
        File folder = org.robolectric.RuntimeEnvironment.getApplication().getFilesDir();
        folder.mkdirs();
        Files.write(new File(folder, Session.STATE_FILE).toPath(), new byte[100]);
        phone = new Phone(true);
        tells(R.string.store_damaged);
        phone.teach("Ada", ADA);
        phone.restart();
        assertEquals(1, phone.<ViewGroup>view(R.id.rows).getChildCount());
    }

    @Test
    public void goesOnLearningThroughARotation() {
        phone = new Phone(true);
        phone.<android.widget.EditText>view(R.id.label).setText("Ada");
        phone.touch(R.id.teach);
        phone.activity.configurationChange(turned()).visible();
        assertEquals(phone.string(R.string.cancel), phone.text(R.id.teach));
        Voices.MICROPHONE.speak(ADA);
        phone.until(() -> phone.text(R.id.notice_text).equals(phone.string(R.string.learned, "Ada")));
        assertEquals("", phone.text(R.id.label));
    }

    @Test
    public void canBeInterruptedWhileLearning() {
        phone = new Phone(true);
        phone.<android.widget.EditText>view(R.id.label).setText("Ada");
        phone.touch(R.id.teach);
        phone.touch(R.id.teach);
        assertEquals(phone.string(R.string.teach), phone.text(R.id.teach));
        phone.touch(R.id.teach);
        phone.home();
        Voices.MICROPHONE.speak(ADA);
        phone.activity.start().resume();
        assertEquals(phone.string(R.string.idle), phone.text(R.id.state));
        assertTrue(phone.visible(R.id.people_none));
    }

    @Test
    public void saysSoWhenTheStateCannotBeSaved() throws Exception {
        phone = new Phone(true);
        File folder = org.robolectric.RuntimeEnvironment.getApplication().getFilesDir();
        assertTrue(new File(new File(folder, Session.STATE_FILE), "in the way").mkdirs());
        Voices.MICROPHONE.speak(ADA);
        phone.<android.widget.EditText>view(R.id.label).setText("Ada");
        phone.touch(R.id.teach);
        tells(R.string.store_failed);
        phone.until(() -> phone.text(R.id.answer).equals("Ada"));
    }

    @Test
    public void saysSoWhenThereIsNoModel() {
        FakeApplication.refusal = new ModelException("no model");
        phone = new Phone(true);
        assertEquals("no model", phone.text(R.id.notice_text));
        assertFalse(phone.view(R.id.listen).isEnabled());
        assertFalse(phone.view(R.id.teach).isEnabled());
    }

    private void hears(double hertz, String label) {
        Voices.MICROPHONE.speak(hertz);
        phone.until(() -> phone.text(R.id.answer).equals(label));
    }

    private void tells(int text) {
        phone.until(() -> phone.visible(R.id.notice) && phone.text(R.id.notice_text).equals(phone.string(text)));
    }

    private void forget(int row) {
        Button forget = phone.<ViewGroup>view(R.id.rows).getChildAt(row).findViewById(R.id.row_forget);
        assertEquals("Forget Ada", forget.getContentDescription());
        forget.performClick();
    }

    private void answer(int result) {
        phone.activity.get().onRequestPermissionsResult(
                shadowOf(phone.activity.get()).getLastRequestedPermission().requestCode,
                new String[] {android.Manifest.permission.RECORD_AUDIO},
                new int[] {result});
    }

    private static Configuration turned() {
        Configuration configuration =
                new Configuration(org.robolectric.RuntimeEnvironment.getApplication().getResources().getConfiguration());
        configuration.orientation = Configuration.ORIENTATION_LANDSCAPE;
        return configuration;
    }
}
