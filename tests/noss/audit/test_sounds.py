"""What is measured of a sound, and which sounds are one."""

import io

import numpy as np
import pytest
import soundfile

from noss.audit.copies import correlation, find_copies
from noss.audit.sounds import SCALARS, Measures, recordings
from noss.tasks import Utterance
from tests.noss.audit.corpora import RATE, sound
from tests.sounds import tone


def measured(x):
    return dict(zip(SCALARS, Measures().embed_windows(np.asarray(x, np.float32))[0].tolist(), strict=False))


def test_a_tone_with_pauses():
    x = np.r_[np.zeros(4_800), tone(0.5, hertz=1_000, level=0.5), np.zeros(3_200)]
    found = measured(x)
    assert found["seconds"] == pytest.approx(1.0)
    assert found["leading_seconds"] == pytest.approx(0.3)
    assert found["trailing_seconds"] == pytest.approx(0.2)
    assert found["silent_share"] == pytest.approx(0.5)
    assert found["peak_db"] == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert found["active_db"] == pytest.approx(10 * np.log10(0.125), abs=0.1)
    assert found["rms_db"] == pytest.approx(10 * np.log10(0.0625), abs=0.1)
    assert found["offset"] == pytest.approx(0, abs=1e-4)
    assert found["zero_share"] > 0.5
    assert found["clipped_share"] == 0
    assert measured(tone(1.024, hertz=1_000))["bandwidth_hz"] == pytest.approx(1_000, abs=50)


@pytest.mark.parametrize("x", [np.zeros(RATE), np.zeros(1), np.ones(3), tone(0.001)], ids=str)
def test_anything_can_be_measured(x):
    assert np.isfinite(Measures().embed_windows(np.asarray(x, np.float32))).all()


def test_a_correlation_is_the_best_shift():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=50), rng.normal(size=37)
    shifted = [abs(sum(a[i] * b[i - shift] for i in range(50) if 0 <= i - shift < 37)) for shift in range(-36, 50)]
    assert correlation(a, b) == pytest.approx(max(shifted) / np.sqrt((a**2).sum() * (b**2).sum()))
    assert correlation(a, np.zeros(5)) == 0


def encoded(x, rate=RATE, **options):
    file = io.BytesIO()
    soundfile.write(file, x, rate, **options)
    return file.getvalue()


DISGUISES = {
    "flac": lambda x: encoded(x, format="FLAC"),
    "softer": lambda x: encoded(0.1 * x, format="WAV"),
    "inverted": lambda x: encoded(-x, format="WAV"),
    "between pauses": lambda x: encoded(np.r_[np.zeros(7_000), x, np.zeros(9_000)], format="WAV"),
    "telephone": lambda x: encoded(x, format="WAV", subtype="ULAW"),
    "vorbis": lambda x: encoded(x, format="OGG", subtype="VORBIS"),
    "cut short": lambda x: encoded(x[:-800], format="WAV"),
    "offset": lambda x: encoded(x + 0.02, format="WAV"),
}


def clips_of(folder, sounds):
    found = []
    for number, data in enumerate(sounds):
        path = folder / f"{number}.wav"
        path.write_bytes(data)
        found.append(Utterance(path, path.name, "a", "x"))
    return found


@pytest.mark.parametrize("disguise", DISGUISES)
def test_copies_are_found_and_others_are_not(tmp_path, disguise):
    rng = np.random.default_rng(0)
    sounds = [0.8 * sound(rng, np.zeros(9), 0.5) for _ in range(6)]
    data = [encoded(x, format="WAV") for x in sounds]
    clips = clips_of(tmp_path, [*data, DISGUISES[disguise](sounds[2]), DISGUISES[disguise](sounds[4])])
    rows = np.concatenate([Measures().embed_windows(soundfile.read(clip.path)[0]) for clip in clips])
    assert find_copies(clips, rows, [clip.name for clip in clips], quiet=True) == [[2, 6], [4, 7]]


def test_silence_is_no_copy_of_silence(tmp_path):
    clips = clips_of(tmp_path, [encoded(np.zeros(n), format="WAV") for n in (8_000, 8_001)])
    rows = np.concatenate([Measures().embed_windows(np.zeros(8_000))] * 2)
    assert find_copies(clips, rows, ["a", "b"], quiet=True) == []
    assert find_copies(clips, rows, ["a", "a"], quiet=True) == [[0, 1]]


def test_bytes_a_second_tell_a_header_and_not_a_length(tmp_path):
    lengths = (4_000, 16_000, 80_000)
    data = [encoded(tone(n / RATE), format="WAV") for n in lengths]
    data += [encoded(tone(n / RATE), format="WAV", subtype="PCM_24") for n in lengths]
    data += [encoded(tone(n / RATE), format="FLAC") for n in lengths]
    found = recordings(clips_of(tmp_path, data), np.array(lengths * 3) / RATE)
    rates = found[:, -1].reshape(3, 3)
    assert [len(set(row.tolist())) for row in rates] == [1, 1, 1]
    assert rates[:, 0].tolist() == [10.4, 10.8, 0.0]
    assert found[:, :-1].tolist() == [[0, 1]] * 6 + [[1, 0]] * 3
