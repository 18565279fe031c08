package io.github.trillspeech.demo;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import io.github.trillspeech.core.HeadTrainer;
import io.github.trillspeech.core.ModelCard;
import io.github.trillspeech.core.ModelEmbedder;
import io.github.trillspeech.core.ModelException;
import io.github.trillspeech.core.ModelFile;
import io.github.trillspeech.core.ModelHead;
import io.github.trillspeech.core.SpeechEmbedder;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** What a model file does: embed, and learn. */
record SpeechModel(ModelCard card, SpeechEmbedder embedder, HeadTrainer head) {
    static final String ASSET = "model.tflite";

    /**
     * Opens the file among the app's assets; one interpreter does both, so that the file is in memory once.
     *
     * @throws ModelException if it is missing, compressed, altered, or no model that learns.
     */
    static SpeechModel open(Context context) {
        ByteBuffer file = map(context);
        ModelCard card = ModelFile.read(file).card();
        TfliteSignatures model = new TfliteSignatures(file);
        try {
            // The head scales embeddings itself, and cosines need no scale.
            return new SpeechModel(
                    card, new ModelEmbedder(model, card, ModelEmbedder.PERSONAL, false), new ModelHead(model));
        } catch (IllegalArgumentException error) {
            model.close();
            throw new ModelException("this app takes a file that learns, got: " + error.getMessage()
                    + " Make one with trill-export --personal.", error);
        }
    }

    private static ByteBuffer map(Context context) {
        try (AssetFileDescriptor asset = context.getAssets().openFd(ASSET);
                FileInputStream stream = new FileInputStream(asset.getFileDescriptor());
                FileChannel channel = stream.getChannel()) {
            return channel.map(FileChannel.MapMode.READ_ONLY, asset.getStartOffset(), asset.getLength());
        } catch (IOException error) {
            throw new ModelException("the model lies uncompressed among the assets as " + ASSET + ", got: " + error
                    + ". Build with noCompress for .tflite.", error);
        }
    }
}
