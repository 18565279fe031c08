"""Teachers against the reference outputs that come with their weights (../shared/teachers)."""

from pathlib import Path

import keras
import numpy as np
import pytest

from distill.teachers.whisper import WhisperEncoder
from distill.teachers.yamnet import yamnet_layer10

TEACHERS = Path(__file__).parents[2] / "shared/teachers"
WHISPER, YAMNET = TEACHERS / "whisper_tiny_en_encoder", TEACHERS / "yamnet_float_layers1to11"
pytestmark = pytest.mark.skipif(not TEACHERS.exists(), reason="the teachers are not part of the repository")
CLIPS = ("chirps", "espeak")


def assert_close_to_float16(ours, stored, *, slack):
    """Within the rounding of the stored float16 values, plus `slack` for our float32."""
    rounding = np.spacing(np.abs(stored)).astype(np.float64) / 2
    difference = np.abs(ours.astype(np.float64) - stored)
    assert (difference <= rounding + slack).all(), (difference - rounding).max()


@pytest.mark.parametrize("clip", CLIPS)
def test_whisper(clip):
    fixture = np.load(WHISPER / "fixture.npz")
    waveform = np.pad(fixture[f"{clip}_wav"], (0, 480_000 - len(fixture[f"{clip}_wav"])))
    whisper = WhisperEncoder(WHISPER)
    log_mel = fixture[f"{clip}_logmel_first"]
    np.testing.assert_allclose(whisper.log_mel(waveform)[: len(log_mel)], log_mel, atol=1e-6)
    states = whisper.hidden_states(waveform)
    block1 = fixture[f"{clip}_block1_first"]  # blocks count from 0, states from the transformer's input
    assert_close_to_float16(states[2][: len(block1)], block1, slack=1e-5)


def test_whisper_runs_as_many_blocks_as_asked_on_clips_as_they_are():
    states = WhisperEncoder(WHISPER, num_layers=2).hidden_states(np.zeros(16_000, np.float32))
    assert [state.shape for state in states] == [(50, 384)] * 3


@pytest.mark.parametrize("num_layers", [-1, 5])
def test_whisper_has_four_blocks(num_layers):
    with pytest.raises(ValueError, match=rf"num_layers must be in \[0, 4\], got {num_layers}"):
        WhisperEncoder(WHISPER, num_layers)


def test_whisper_must_be_whisper():
    with pytest.raises(ValueError, match="not a Whisper encoder"):
        WhisperEncoder(YAMNET)


@pytest.mark.parametrize("clip", CLIPS)
def test_yamnet_layer10(clip):
    fixture = np.load(YAMNET / "fixture.npz")
    model = yamnet_layer10(YAMNET)
    layer10 = keras.ops.convert_to_numpy(model(fixture[f"{clip}_logmel"], training=False))
    assert_close_to_float16(layer10, fixture[f"{clip}_layer10"], slack=1e-5)
    assert not model.trainable_weights
