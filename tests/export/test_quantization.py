"""Representative sound, and calibration that does not depend on its order."""

import numpy as np
import pytest
import soundfile

from export import quantization
from export.quantization import QUANTIZATIONS, representative_windows
from export.tflite import convert_network
from export.verification import probes
from tests.sounds import noise, tone
from trill.errors import AudioError, ModelError


def test_a_quiet_first_window_spoils_nothing(tiny):
    """The quantizer's own merge is a moving average that starts at the first window."""
    windows = representative_windows(None, 15_600, 16_000)[:12]
    quiet_first = np.concatenate([1e-4 * windows[:1], windows])
    assert convert_network(tiny.network, "int8", representative=quiet_first) == convert_network(
        tiny.network, "int8", representative=quiet_first[::-1]
    )


class Recipe:
    def calibrate(self, data, num_threads):
        (given,) = data["serving_default"]
        return {"a": {"min": given["x"].min(), "max": given["x"].max()}, "constant": {}}


def ranges(share, *inputs):
    return quantization.calibrate(Recipe(), [{"x": np.array(values)} for values in inputs], share)


def test_ranges_are_the_extremes_of_most():
    assert ranges(1.0, [1, 2], [-3, 0], [0, 5], [1, 1]) == {"a": {"min": -3, "max": 5}, "constant": {}}
    assert ranges(0.9, *[[-1, 1]] * 10, [-100, 100])["a"] == {"min": -1, "max": 1}


def test_the_last_digits_of_another_machine_change_no_range():
    seen = np.random.default_rng(0).normal(size=(40, 2))
    assert ranges(0.9, *seen) == ranges(0.9, *(seen * (1 + 1e-7)))


def test_what_is_seen_sets_the_range(tiny):
    loud, quiet = noise((8, 15_600), level=0.9), noise((8, 15_600), level=1e-3)
    files = [convert_network(tiny.network, "int8", representative=x.astype(np.float32)) for x in (loud, quiet)]
    assert files[0] != files[1]


def test_bundled_speech_represents_by_default():
    windows = representative_windows(None, 15_600, 16_000)
    assert windows.shape[1:] == (15_600,)
    assert windows.dtype == np.float32
    assert len(windows) >= 6 * quantization.MIN_WINDOWS
    peaks = np.abs(windows).max(axis=1)
    assert peaks.max() == 1, "at full scale"
    assert (peaks < 0.05).sum() >= quantization.MIN_WINDOWS, "quiet"
    plain, by_telephone = np.split(np.abs(np.fft.rfft(windows))[:, 4 * 975 :].sum(axis=1), 2)  # above 4 kHz
    assert np.median(by_telephone / plain) < 0.02


def test_what_no_telephone_has_room_in_is_represented_without():
    half = len(representative_windows(None, 15_600, 16_000)) / 2
    assert len(representative_windows(None, 3_900, 4_000)) == half


def write(folder, **sounds):
    for name, samples in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, 16_000)
    return folder


def test_a_folder_represents(tmp_path):
    folder = write(tmp_path, a=tone(10), b=0.5 * tone(10))
    assert len(representative_windows(folder, 15_600, 16_000)) == pytest.approx(6 * 2 * 20, abs=24)


def test_a_large_folder_is_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr(quantization, "MAX_WINDOWS", 10)
    folder = write(tmp_path, **{f"clip{index}": tone(2) for index in range(25)})
    read = []
    monkeypatch.setattr(quantization.audio, "read", lambda path, **_: read.append(path) or np.ones(32_000))
    assert len(representative_windows(folder, 15_600, 16_000)) <= 6 * 10
    assert len(read) <= 10


@pytest.mark.parametrize(
    ("sounds", "message"),
    [
        ({"short": tone(2)}, r"at least 8 windows of 0\.975 s that reach 0\.001 of full scale, got 3 of 3 in"),
        ({"silent": np.zeros(320_000)}, r"got 0 of \d+ in .*Ten seconds of speech"),
        ({"hum": 1e-4 * tone(30)}, r"got 0 of \d+ in"),
    ],
)
def test_sound_that_represents_nothing(tmp_path, sounds, message):
    with pytest.raises(ModelError, match=message):
        representative_windows(write(tmp_path, **sounds), 15_600, 16_000)


def test_a_folder_without_sound(tmp_path):
    with pytest.raises(ValueError, match="sound file"):
        representative_windows(tmp_path, 15_600, 16_000)


def test_a_folder_with_a_damaged_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError):
        representative_windows(tmp_path, 15_600, 16_000)


def test_sixteen_bits_have_room_for_the_probes(tiny, monkeypatch):
    """Eight have not: speech would lose what they take."""
    seen = []
    monkeypatch.setattr(quantization, "quantize", lambda _, mode, inputs: seen.append(len(list(inputs))))
    for mode in ("int8", "int16x8"):
        convert_network(tiny.network, mode)
    assert seen[1] - seen[0] == len(probes(15_600, 16_000))


def test_rows_say_what_holds():
    for name, mode in QUANTIZATIONS.items():
        assert 0 < mode.max_error <= mode.max_error_elsewhere < 1, name
        assert mode.calibrated or not (mode.wide or mode.integer_io), name
