"""The front end against a float64 oracle, the counts of the papers, and the log-mels of a public YAMNet."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import log_mel as oracle
from trill.networks.frontend import (
    FRONTENDS,
    FrontendConfig,
    LogMel,
    context_windows,
    log_mel,
    log_mel_windows,
    mel_matrix,
)

TRILL = FRONTENDS["trill"]
YAMNET_FIXTURE = Path(__file__).parents[2].parent / "shared/teachers/yamnet_float_layers1to11/fixture.npz"
FLOAT32 = np.finfo(np.float32).eps

rng = np.random.default_rng(0)
seconds = np.arange(TRILL.window_samples) / TRILL.sample_rate
tone = np.sin(2 * np.pi * 440 * seconds)
chirp = np.sin(2 * np.pi * (200 + 1500 * seconds) * seconds)
SIGNALS = {
    "noise": rng.normal(0, 0.3, seconds.shape),
    "quiet": rng.normal(0, 1e-4, seconds.shape),
    "zeros": 0 * seconds,
    "impulse": np.eye(1, seconds.size, 7_800)[0],
    "tone at -40 dB": 0.01 * tone,
    "chirp at -40 dB": 0.01 * chirp,
    "loud tone": 0.9 * tone,
    "loud chirp": 0.9 * chirp,
}


def ours(waveform, config=TRILL):
    return keras.ops.convert_to_numpy(log_mel(waveform.astype(np.float32)[None], config))[0]


@pytest.mark.parametrize("name", [name for name in SIGNALS if "loud" not in name])
def test_log_mel_is_the_definition(name):
    waveform = SIGNALS[name].astype(np.float32)
    np.testing.assert_allclose(ours(waveform), oracle.log_mel(waveform, TRILL), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in SIGNALS if "loud" in name])
def test_a_loud_tone_rounds_the_silent_bands_by_float32_of_itself(name):
    """A float32 transform cannot tell bands apart that lie more than 140 dB under the loudest, whoever computes it."""
    waveform = SIGNALS[name].astype(np.float32)
    expected = np.exp(oracle.log_mel(waveform, TRILL))
    loudest = expected.max(axis=1, keepdims=True)
    assert (np.abs(np.exp(ours(waveform)) - expected) <= 1e-5 * expected + FLOAT32 * loudest).all()


@pytest.mark.parametrize("name", FRONTENDS)
def test_every_front_end_is_the_definition(name):
    config = FRONTENDS[name]
    waveform = rng.normal(0, 0.1, config.frame_length + 9 * config.frame_step).astype(np.float32)
    np.testing.assert_allclose(ours(waveform, config), oracle.log_mel(waveform, config), rtol=0, atol=1e-4)


def test_silence_is_the_offset():
    np.testing.assert_allclose(ours(np.zeros(400)), np.log(0.001), rtol=1e-6)


@pytest.mark.skipif(not YAMNET_FIXTURE.exists(), reason="the teachers are not part of the repository")
@pytest.mark.parametrize(("clip", "bound"), [("chirps", 2e-5), ("espeak", 2e-4)])
def test_log_mel_is_yamnets(clip, bound):
    """The fixture was computed in float64 (it is within 3e-7 of the oracle): the difference is our float32."""
    fixture = np.load(YAMNET_FIXTURE)
    waveform, expected = fixture[f"{clip}_wav"], fixture[f"{clip}_logmel"]
    config = FRONTENDS["yamnet"]
    windows = keras.ops.convert_to_numpy(log_mel_windows(waveform[None], config))[0]
    np.testing.assert_allclose(windows, expected, rtol=0, atol=bound)
    first = oracle.log_mel(waveform[: config.window_samples], config)
    np.testing.assert_allclose(expected[0], first, rtol=0, atol=1e-6)


def test_mel_bands_cover_the_spectrum_between_their_edges():
    weights = mel_matrix(TRILL)
    hz = np.fft.rfftfreq(TRILL.fft_length, 1 / TRILL.sample_rate)
    inside = (hz > 190) & (hz < 7_200)  # between the centres of the first and the last band
    np.testing.assert_allclose(weights[inside].sum(axis=1), 1)
    assert not weights[(hz < 125) | (hz > 7_500)].any()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        # frame, step, transform, window, hop in samples
        ("trill", (400, 160, 512, 15_600, 2_720)),
        ("yamnet", (400, 160, 512, 15_600, 7_680)),
        ("vggish", (400, 160, 512, 15_600, 15_360)),
        ("trillsson", (400, 160, 512, 31_440, 31_200)),
    ],
)
def test_front_ends_have_their_sizes(name, sizes):
    config = FRONTENDS[name]
    derived = (config.frame_length, config.frame_step, config.fft_length, config.window_samples, config.hop_samples)
    assert derived == sizes


@pytest.mark.parametrize(
    ("num_seconds", "num_windows"), [(0.01, 1), (0.5, 1), (0.975, 1), (1, 1), (1.15, 2), (2, 7), (10, 54)]
)
def test_windows_of_a_clip(num_seconds, num_windows):
    windows = log_mel_windows(np.zeros((2, round(num_seconds * 16_000)), np.float32), TRILL)
    assert windows.shape == (2, num_windows, 96, 64)


def test_short_clips_are_zero_padded_on_the_right():
    clip = SIGNALS["noise"][:8_000].astype(np.float32)
    padded = np.concatenate([clip, np.zeros(7_600, np.float32)])
    np.testing.assert_array_equal(log_mel_windows(clip[None], TRILL), log_mel_windows(padded[None], TRILL))
    silence = keras.ops.convert_to_numpy(log_mel_windows(clip[None], TRILL))[0, 0, 50:]
    np.testing.assert_allclose(silence, np.log(0.001), rtol=1e-6)


@given(num_frames=st.integers(1, 40), window_frames=st.integers(1, 12), hop_frames=st.integers(1, 15))
def test_context_windows_are_the_definition(num_frames, window_frames, hop_frames):
    config = FrontendConfig(mel_bands=2, window_frames=window_frames, hop_frames=hop_frames)
    spectrogram = np.arange(num_frames * 2, dtype=np.float32).reshape(num_frames, 2)
    if num_frames < window_frames:
        with pytest.raises(ValueError, match=f"needs {window_frames} frames, got {num_frames}"):
            context_windows(spectrogram[None], config)
    else:
        windows = keras.ops.convert_to_numpy(context_windows(spectrogram[None], config))[0]
        np.testing.assert_array_equal(windows, oracle.context_windows(spectrogram, config))


def test_windows_of_the_spectrogram_are_spectrograms_of_the_windows():
    """The runtime cuts the waveform, training cuts the spectrogram."""
    waveform = rng.normal(0, 0.1, 32_000).astype(np.float32)
    starts = range(0, 32_000 - TRILL.window_samples + 1, TRILL.hop_samples)
    cut = np.stack([waveform[start : start + TRILL.window_samples] for start in starts])
    windows = keras.ops.convert_to_numpy(log_mel_windows(waveform[None], TRILL))[0]
    np.testing.assert_allclose(windows, keras.ops.convert_to_numpy(log_mel(cut, TRILL)), rtol=0, atol=1e-5)


def test_the_layer_carries_its_front_end_and_stays_float32():
    layer = LogMel(FRONTENDS["vggish"], dtype="mixed_bfloat16")
    waveform = SIGNALS["quiet"].astype(np.float32)
    again = LogMel.from_config(layer.get_config())
    assert again.frontend == FRONTENDS["vggish"]
    np.testing.assert_array_equal(again(waveform[None])[0], ours(waveform, FRONTENDS["vggish"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be positive .*, got 0"),
        ({"step_seconds": 0.0}, "frame_step must be positive .*, got 0"),
        ({"frame_seconds": -1.0}, "frame_length must be positive .*, got -16000"),
        ({"mel_bands": 0}, "mel_bands must be positive .*, got 0"),
        ({"log_offset": float("nan")}, "log_offset must be positive .*, got nan"),
        ({"window_frames": -1}, "window_frames must be positive .*, got -1"),
        ({"hop_frames": 0}, "hop_frames must be positive .*, got 0"),
        ({"high_hz": 9_000.0}, "0 <= low_hz < high_hz <= 8000 .*got 125.0 and 9000.0"),
        ({"low_hz": 7_500.0}, "got 7500.0 and 7500.0"),
    ],
)
def test_a_front_end_says_what_it_takes(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TRILL, **change)
