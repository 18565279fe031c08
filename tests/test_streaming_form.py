"""The buffer that docs/personalization-on-device.md tells a phone to keep: its windows are those of the whole sound."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sounds import noise
from trill.windows import frame

PAGE = Path(__file__).parents[1] / "docs" / "personalization-on-device.md"
(SOURCE,) = re.findall(r"^```python\n(class Windows:.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def windows_of(waveform, sizes, **lengths):
    """The page's buffer, fed in chunks of these sizes, over and over."""
    namespace = {}
    exec(SOURCE, namespace)  # noqa: S102
    buffer, found, start = namespace["Windows"](**lengths), [], 0
    while start < len(waveform):
        for size in sizes:
            found += buffer.push(waveform[start : start + size])
            start += size
    return found + buffer.finish()


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 25), st.lists(st.integers(1, 30), min_size=1))
def test_its_windows_are_those_of_the_whole_sound(length, window, hop, sizes):
    waveform = np.arange(1, length + 1)
    assert windows_of(waveform, sizes, window=window, hop=hop) == frame(waveform, window, hop).tolist()


def test_no_sound_has_no_window():
    assert windows_of([], [160]) == []


@pytest.mark.parametrize("milliseconds", [10, 170])
def test_its_embeddings_are_those_of_the_whole_sound(embedder, milliseconds):
    """To the last bit, tail included."""
    waveform = noise(25_500, level=0.3).astype(np.float32)
    windows = np.float32(windows_of(waveform, [16 * milliseconds], hop=embedder.hop_samples))
    assert windows.shape == (5, 15_600)
    found = embedder.model.run(windows, "embedding")
    assert found.tobytes() == embedder.embed(waveform, 16_000, pooling=None).tobytes()
