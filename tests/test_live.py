"""Listening: readings are the stream's windows, smoothed as written; microphones that are not there say so."""

import itertools
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trill
from tests.sounds import noise, tone
from trill import audio, live
from trill.errors import AudioError, MissingPackageError
from trill.personal import Prediction

LABELS = ("anna", "ben", "unknown")


@pytest.fixture
def head(embedder):
    head = trill.PersonalHead(model=embedder, threshold=0)
    head.add("tone", tone(3), 16_000)
    head.add("noise", noise(48_000), 16_000)
    return head


class Script:
    """A head that says what it is told, and keeps what it is asked."""

    def __init__(self, embedder, labels=()):
        self.embedder, self.labels, self.asked = embedder, iter(labels), []

    def predict_embedding(self, vector):
        self.asked.append(vector)
        label = next(self.labels, "anna")
        scores = dict.fromkeys(LABELS[:2], 0.2) | ({label: 0.9} if label != "unknown" else {})
        return Prediction(label, 0.9 if label != "unknown" else 0.8, scores)


def shown_by_hand(said, patience):
    """The rule over the whole past: since the last silence the first label, then one said so often in a row."""
    shown, since = [], []
    for label in said:
        if label is None:
            since = []
            shown.append(None)
            continue
        since.append(label)
        last = since[-patience:]
        if len(since) == 1 or (len(last) == patience and len(set(last)) == 1):
            shown.append(label)
        else:
            shown.append(shown[-1])
    return shown


@settings(deadline=None)
@given(said=st.lists(st.sampled_from([*LABELS, None]), max_size=25), patience=st.integers(1, 4))
def test_a_label_must_be_said_so_often_before_it_is_shown(embedder, said, patience):
    listener = live.Live(Script(embedder, [label for label in said if label]), patience=patience)
    window = trill.Window(np.zeros(3), 0.0, 1.0)
    readings = [listener._reading(window, -100.0 if label is None else -20.0) for label in said]
    assert [reading.label for reading in readings] == shown_by_hand(said, patience)
    assert [reading.heard and reading.heard.label for reading in readings] == said


@settings(deadline=None)
@given(silent=st.lists(st.booleans(), max_size=15), pooled=st.integers(1, 4))
def test_windows_since_the_last_silence_are_averaged(embedder, silent, pooled):
    script = Script(embedder)
    listener = live.Live(script, pooled=pooled)
    expected = []
    for index, quiet in enumerate(silent):
        listener._reading(trill.Window(np.float32([index, 1]), 0.0, 1.0), -100.0 if quiet else -20.0)
        if not quiet:
            begin = index
            while begin > max(0, index - pooled + 1) and not silent[begin - 1]:
                begin -= 1
            expected.append([np.mean(range(begin, index + 1)), 1])
    np.testing.assert_allclose(np.reshape(script.asked, (-1, 2)), np.reshape(expected, (-1, 2)))


def test_readings_are_where_the_windows_are(head):
    sound = np.concatenate([tone(2.2), noise(64_000), np.zeros(40_000)])
    found = list(live.readings(live.Live(head, 16_000), [sound]))
    windows = head.embedder.using(hop_seconds=live.HOP_SECONDS)
    spans = windows.window_times(len(sound))
    np.testing.assert_allclose([(reading.start, reading.end) for reading in found], spans)
    said = [reading.label for reading in found]
    assert said[:2] == ["tone", "tone"]
    assert said[-1] is None
    # The window in which the noise ends may sound like anything to a random network.
    assert [label for label, _ in itertools.groupby(said)][:2] == ["tone", "noise"]


def test_the_first_reading_is_the_prediction_for_its_window(head):
    reading = live.Live(head).push(tone(1.0))[0]
    expected = head.predict(tone(0.975), 16_000)
    assert (reading.label, reading.heard.label) == (expected.label, expected.label)
    assert reading.score == pytest.approx(expected.score, abs=1e-5)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("step", [160, 5_000, 10**6])
def test_chunks_do_not_matter(head, rate, step):
    sound = np.concatenate([tone(1.5, rate), noise(rate), np.zeros(rate)])
    whole = list(live.readings(live.Live(head, rate), [sound]))
    chunks = [sound[start : start + step] for start in range(0, len(sound), step)]
    assert list(live.readings(live.Live(head, rate), chunks)) == whole
    assert len(whole) == 6


@pytest.mark.parametrize(("amplitude", "shown"), [(0.0, False), (1e-3, False), (1e-2, True)])
def test_silence_has_no_label(head, amplitude, shown):
    """-60 dB is silence, -40 dB is not; a sine's root mean square lies 3 dB below its amplitude."""
    (reading,) = live.Live(head).push(tone(1.0, level=amplitude))
    assert (reading.label is not None) == shown
    assert (reading.heard is not None) == shown
    assert reading.score == 0 or shown


def test_level_is_the_root_mean_square():
    assert live.level(np.float32([0.1, -0.1])) == pytest.approx(-20, abs=1e-4)
    assert live.level(np.zeros(4, np.float32)) == -200


def test_the_score_is_that_of_the_label_shown():
    heard = Prediction("anna", 0.7, {"anna": 0.7, "ben": 0.4})
    assert [live.score_of(heard, label) for label in LABELS] == [0.7, 0.4, pytest.approx(0.3)]


@pytest.mark.parametrize("wrong", [{"pooled": 0}, {"patience": 0}])
def test_counts_start_at_one(head, wrong):
    with pytest.raises(ValueError, match=r"pooled and patience must be 1 or more, got .* smooth nothing"):
        live.Live(head, **wrong)


# A file as if live.


def test_a_file_as_if_live_is_the_file():
    path = trill.example("anna_calm")
    chunks = list(live.as_if_live(path, 16_000, fast=True))
    np.testing.assert_array_equal(np.concatenate(chunks), audio.read(path))
    assert len(chunks) > 20


def test_a_file_comes_at_the_pace_of_a_microphone(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    given_so_far = 0
    for chunk in live.as_if_live(trill.example("anna_calm"), 16_000):
        given_so_far += len(chunk)
        assert now[0] - 100 == pytest.approx(given_so_far / 16_000)
        now[0] += 0.01  # somebody works on it


# The microphone.


class PortAudioError(Exception):
    pass


def device(reads=(), rate=48_000.0, opening=None):
    """What `sounddevice` looks like, as far as it is used; `reads` are frames or an error."""

    class InputStream:
        samplerate = rate

        def __init__(self, **options):
            assert options == {"channels": 1, "dtype": "float32"}
            self.reads = iter(reads)
            self.closed = False
            if opening:
                raise opening

        def start(self):
            pass

        def read(self, count):
            got = next(self.reads)
            if isinstance(got, Exception):
                raise got
            assert count == 0.1 * rate
            return np.full((count, 1), got[0], np.float32), got[1]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.closed = True

    module = types.ModuleType("sounddevice")
    module.InputStream, module.PortAudioError = InputStream, PortAudioError
    return module


def test_a_microphone_gives_chunks_until_it_goes_away(monkeypatch, caplog):
    reads = [(0.1, False), (1.5, True), (0.2, True), PortAudioError("Device unavailable")]
    monkeypatch.setitem(sys.modules, "sounddevice", device(reads))
    microphone = live.Microphone()
    assert microphone.rate == 48_000
    chunks = []
    with pytest.raises(AudioError, match=r"the microphone must stay, it has stopped: Device unavailable"):
        collect(microphone.chunks(), chunks)
    assert [(chunk.shape, float(chunk[0])) for chunk in chunks] == [
        ((4800,), pytest.approx(0.1)),
        ((4800,), 1.0),
        ((4800,), pytest.approx(0.2)),
    ]
    assert [record.message for record in caplog.records] == [
        "sound was lost: this machine is too busy to listen. Times are late from here on."
    ]
    assert microphone._stream.closed


def collect(chunks, into):
    for chunk in chunks:
        into.append(chunk)


@pytest.mark.parametrize("error", [PortAudioError("Error querying device -1"), ValueError("No input device matching")])
def test_no_microphone(monkeypatch, error):
    monkeypatch.setitem(sys.modules, "sounddevice", device(opening=error))
    with pytest.raises(AudioError, match=r"must be there and free, got: (Error querying|No input).*--as-if-live FILE"):
        live.Microphone()


def test_no_sounddevice(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'trill-speech\[microphone\]'"):
        live.Microphone()


def test_no_portaudio(monkeypatch, tmp_path):
    """As `sounddevice` says it on Linux, whose wheel is without the library."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(MissingPackageError, match=r"PortAudio library not found.*apt-get install libportaudio2"):
        live.Microphone()
