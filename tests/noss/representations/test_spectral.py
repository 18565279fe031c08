"""Log-mel and MFCC against their definitions, and what holds for every sound."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noss.representations.spectral import CONFIGURATIONS, GRID, dct, delta, stack
from tests.oracles import log_mel as oracle
from tests.sounds import noise, tone

SHORT = (1, 399, 400, 559, 560, 3_000)
SIGNALS = {
    "noise": noise(3_000),
    "quiet": noise(3_000, level=1e-4),
    "tone": tone(0.2),
    "silence": np.zeros(3_000),
}


def cepstrum(bands, count):
    """c_k = s_k sum_m bands_m cos(pi k (m + 1/2) / M), s_0 = sqrt(1/M), else sqrt(2/M)."""
    size = len(bands)
    return [
        math.sqrt((1 if k == 0 else 2) / size)
        * sum(bands[m] * math.cos(math.pi * k * (m + 0.5) / size) for m in range(size))
        for k in range(count)
    ]


def slope(track, t):
    """d_t = sum_n n (c_{t+n} - c_{t-n}) / (2 sum_n n^2) for n = 1, 2; beyond the ends the last value holds."""
    at = lambda i: track[min(max(i, 0), len(track) - 1)]  # noqa: E731
    return sum(n * (at(t + n) - at(t - n)) for n in (1, 2)) / 10


def by_hand(waveform, config):
    waveform = [*waveform, *[0.0] * (round(config.frame_seconds * config.sample_rate) - len(waveform))]
    features = oracle.log_mel(np.array(waveform), config)
    if config.coefficients:
        features = np.array([cepstrum(bands, config.coefficients) for bands in features])
    orders = [features]
    for _ in range(config.deltas):
        orders.append(np.array([[slope(track, t) for track in orders[-1].T] for t in range(len(features))]))
    frames = [np.concatenate([order[t] for order in orders]) for t in range(len(features))]
    size = 2 * config.context + 1
    while len(frames) % size:
        frames.append(frames[-1])
    return np.array([np.concatenate(frames[start : start + size]) for start in range(0, len(frames), size)])


@pytest.mark.parametrize("label", CONFIGURATIONS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_it_is_the_definition(label, signal):
    config = CONFIGURATIONS[label]
    found = config.embed_windows(SIGNALS[signal].astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(SIGNALS[signal].astype(np.float32), config), rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("length", SHORT)
def test_a_short_sound_is_padded_to_a_frame_and_whole_frames_count(length):
    waveform = noise(length).astype(np.float32)
    for config in (CONFIGURATIONS["log-mel"], CONFIGURATIONS["mfcc"]):
        np.testing.assert_allclose(config.embed_windows(waveform), by_hand(waveform, config), rtol=1e-6, atol=2e-6)


def test_blocks_change_nothing(monkeypatch):
    waveform = noise(16_000).astype(np.float32)
    whole = CONFIGURATIONS["log-mel"].embed_windows(waveform)
    monkeypatch.setattr("noss.representations.spectral.BLOCK_FRAMES", 7)
    np.testing.assert_allclose(CONFIGURATIONS["log-mel"].embed_windows(waveform), whole, rtol=1e-6)


def test_it_is_what_trill_sees():
    keras_frontend = pytest.importorskip("trill.networks.frontend")
    waveform = noise(15_600).astype(np.float32)
    expected = np.asarray(keras_frontend.log_mel(waveform[None], keras_frontend.FrontendConfig()))[0]
    np.testing.assert_allclose(CONFIGURATIONS["log-mel"].embed_windows(waveform), expected, atol=2e-4)


@given(size=st.integers(1, 40))
def test_the_cosine_transform_is_orthonormal(size):
    np.testing.assert_allclose(dct(size) @ dct(size).T, np.eye(size), atol=1e-12)


@given(start=st.floats(-5, 5), rise=st.floats(-5, 5), count=st.integers(5, 20))
def test_the_delta_of_a_line_is_its_slope(start, rise, count):
    line = start + rise * np.arange(count)[:, None]
    np.testing.assert_allclose(delta(line)[2:-2], rise, atol=1e-9)


@given(count=st.integers(1, 40), size=st.integers(1, 12))
def test_every_frame_stands_in_one_window(count, size):
    stacked = stack(np.arange(count)[:, None], size)
    assert stacked.shape == (-(-count // size), size)
    assert stacked.ravel().tolist() == [*range(count), *[count - 1] * (-count % size)]


def test_no_band_of_the_grid_is_empty():
    for label in GRID:
        assert (CONFIGURATIONS[label]._bands.max(axis=0) > 0).all(), label


def test_names_are_unique_and_versioned_and_each_row_is_another():
    names = [config.name for config in CONFIGURATIONS.values()]
    assert len(set(names)) == len(names)
    assert all(name.endswith("-1") for name in names)
    same = [dataclasses.replace(config, label="") for config in CONFIGURATIONS.values()]
    assert len(set(same)) == len(names)
