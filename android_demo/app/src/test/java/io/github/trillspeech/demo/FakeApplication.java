package io.github.trillspeech.demo;

/** The app over {@link FakeModel}, or over a model that does not open. */
public final class FakeApplication extends DemoApplication {
    static RuntimeException refusal;

    @Override
    SpeechModel openModel() {
        if (refusal != null) {
            throw refusal;
        }
        return FakeModel.make();
    }
}
