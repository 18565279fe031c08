"""Ogg Opus and back: length, delay, rate, and what it says of wrong arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trill
from trill import audio
from trill.training.opus import RATES, encode, opus


@settings(deadline=None, max_examples=10)
@given(length=st.integers(1, 5_000), rate=st.sampled_from(RATES))
def test_as_long_as_before_and_the_same_again(length, rate):
    sound = np.random.default_rng(length).uniform(-0.5, 0.5, length).astype(np.float32)
    found = opus(sound, 12_000, rate)
    assert found.shape == sound.shape
    assert found.dtype == np.float32
    np.testing.assert_array_equal(opus(sound, 12_000, rate), found)


def test_it_is_the_same_sound_at_the_same_time():
    sound = audio.read(trill.example("anna_calm"))
    for bits, least in ((12_000, 0.8), (64_000, 0.97)):
        assert np.corrcoef(sound, opus(sound, bits))[0, 1] > least
    late = np.corrcoef(sound[160:], opus(sound, 12_000)[:-160])[0, 1]
    assert late < np.corrcoef(sound, opus(sound, 12_000))[0, 1] / 2


@pytest.mark.parametrize("bits", [12_000, 32_000])
def test_bits_a_second_are_about_those_asked_for(bits):
    sound = np.tile(audio.read(trill.example("ben_excited")), 4)
    measured = 8 * len(encode(sound, bits)) / (len(sound) / 16_000)
    assert 0.7 * bits < measured < 1.3 * bits


def test_longer_than_a_block():
    sound = np.tile(audio.read(trill.example("anna_calm")), 8)[: 16_000 * 21]
    found = opus(sound, 24_000)
    assert np.corrcoef(sound[-16_000:], found[-16_000:])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("bits", "rate", "said"),
    [(12_000, 22_050, "Opus takes 8000, .*got 22050"), (5_000, 16_000, r"\[6000, 256000\], got 5000")],
)
def test_says_what_it_takes(bits, rate, said):
    with pytest.raises(ValueError, match=said):
        encode(np.zeros(10, np.float32), bits, rate)
