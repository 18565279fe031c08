package io.github.trillspeech.demo;

import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;

import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.view.View;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** The whole app with the real model and real voices, on small and large screens; the pictures of docs/android.md. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = 35)
public final class PicturesTest {
    private Phone phone;

    @Before
    public void needRuntimeAndVoices() {
        ModelTest.needRuntime();
        assumeTrue(new File(System.getProperty("trill.clips"), "anna_calm.pcm").exists());
    }

    @After
    public void end() {
        if (phone != null) {
            phone.application.end();
        }
    }

    @Test
    @Config(qualifiers = "w360dp-h760dp-xhdpi")
    public void main() throws Exception {
        picture("main", 1);
    }

    @Test
    @Config(qualifiers = "w360dp-h760dp-night-xhdpi")
    public void dark() throws Exception {
        picture("dark", 1);
    }

    @Test
    @Config(qualifiers = "w800dp-h360dp-land-xhdpi")
    public void landscape() throws Exception {
        picture("landscape", 1);
    }

    @Test
    @Config(qualifiers = "w320dp-h640dp-xhdpi")
    public void largeFont() throws Exception {
        picture("large-font", 2);
    }

    @Test
    @Config(qualifiers = "w320dp-h640dp-xhdpi")
    public void refused() throws Exception {
        RuntimeEnvironment.setFontScale(2);
        phone = new Phone(false);
        phone.application.session().tell(new Notice(R.string.refused_for_good, "", Notice.Kind.WRONG, true));
        phone.until(() -> phone.visible(R.id.notice_settings));
        draw("refused");
    }

    private void picture(String name, float fontScale) throws Exception {
        RuntimeEnvironment.setFontScale(fontScale);
        phone = new Phone(true);
        say("anna_calm");
        phone.teach("Anna", "Anna");
        say("ben_calm");
        phone.teach("Ben", "Ben");
        phone.touch(R.id.train);
        phone.until(() -> phone.text(R.id.trained).startsWith("Trained"));
        say("anna_calm");
        phone.until(() -> phone.text(R.id.answer).equals("Anna"));
        draw(name);
    }

    private void draw(String name) throws IOException {
        View root = phone.activity.get().getWindow().getDecorView();
        Bitmap bitmap = Bitmap.createBitmap(root.getWidth(), root.getHeight(), Bitmap.Config.ARGB_8888);
        root.draw(new Canvas(bitmap));
        String folder = System.getProperty("trill.pictures");
        if (folder != null) {
            try (FileOutputStream file = new FileOutputStream(new File(folder, "android-" + name + ".png"))) {
                assertTrue(bitmap.compress(Bitmap.CompressFormat.PNG, 100, file));
            }
        }
    }

    private static void say(String clip) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(
                Files.readAllBytes(new File(System.getProperty("trill.clips"), clip + ".pcm").toPath()));
        short[] pcm = new short[bytes.remaining() / Short.BYTES];
        bytes.order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(pcm);
        Voices.MICROPHONE.speak(pcm);
    }
}
