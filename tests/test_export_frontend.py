"""The front end in matrix products is the front end."""

import numpy as np
import pytest
from keras import ops

from export import frontend as fast
from tests.oracles.log_mel import log_mel as oracle
from trill.networks.frontend import FRONTENDS, FrontendConfig, log_mel

SECONDS = np.arange(15_600) / 16_000
SIGNALS = {
    "noise": 0.1 * np.random.default_rng(0).standard_normal(15_600),
    "quiet": 1e-4 * np.random.default_rng(1).standard_normal(15_600),
    "tone": 0.01 * np.sin(2 * np.pi * 440 * SECONDS),
    "chirp": 0.01 * np.sin(2 * np.pi * (100 + 3500 * SECONDS) * SECONDS),
    "zeros": np.zeros(15_600),
    "impulse": np.eye(1, 15_600, 7_000)[0],
}


@pytest.mark.parametrize("name", SIGNALS)
def test_it_is_the_definition(name):
    waveform = SIGNALS[name].astype(np.float32)
    found = ops.convert_to_numpy(fast.log_mel(waveform[None], FrontendConfig()))[0]
    np.testing.assert_allclose(found, oracle(waveform, FrontendConfig()), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "config",
    [*FRONTENDS.values(), FrontendConfig(frame_seconds=0.032), FrontendConfig(sample_rate=8_000, high_hz=4_000)],
)
def test_every_front_end_gives_what_the_fft_gives(config):
    waveform = SIGNALS["noise"][None].astype(np.float32)
    expected = ops.convert_to_numpy(log_mel(waveform, config))
    np.testing.assert_allclose(fast.log_mel(waveform, config), expected, rtol=0, atol=1e-5)


def test_a_frame_that_does_not_divide_goes_through_the_fft(monkeypatch):
    config = FrontendConfig(frame_seconds=0.0251)
    assert config.frame_length % fast.COLUMNS
    monkeypatch.setattr(fast, "matrices", lambda _: pytest.fail("took matrix products"))
    waveform = SIGNALS["noise"][None].astype(np.float32)
    np.testing.assert_array_equal(fast.log_mel(waveform, config), log_mel(waveform, config))


def test_each_bin_is_weighed_once():
    *_, mel = fast.matrices(FrontendConfig())
    np.testing.assert_allclose(
        np.sum(mel, axis=(0, 1)), np.sum(fast.frontend.mel_matrix(FrontendConfig()), axis=0), 1e-6
    )
