"""The synthesiser makes what it was told: pitch, formants, durations; and the same twice."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from noss.demo.synthesis import PHONES, RATE, Syllable, Voice, record, speak

STEADY = Voice(jitter=0.0, breath=0.0)
LONG = 8.0  # times an ordinary vowel: a second


def spectrum(waveform, size=4096):
    """Mean power of the middle half in dB, and the frequencies."""
    quarter = len(waveform) // 4
    hertz, power = signal.welch(waveform[quarter:-quarter], RATE, nperseg=size)
    return hertz, 10 * np.log10(power + 1e-20)


def pitch_of(waveform):
    """The lag of the largest autocorrelation, between 60 and 400 Hz."""
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4]
    correlation = signal.correlate(middle, middle, "full")[len(middle) - 1 :]
    low = RATE // 400
    return RATE / (low + np.argmax(correlation[low : RATE // 60]))


@pytest.mark.parametrize("hertz", [100.0, 160.0, 240.0])
def test_the_voice_has_the_pitch_it_was_given(hertz):
    assert pitch_of(speak([Syllable("a", length=LONG)], dataclasses.replace(STEADY, f0=hertz))) == pytest.approx(
        hertz, rel=0.02
    )


@pytest.mark.parametrize("vowel", ["i", "E", "a", "u"])
@pytest.mark.parametrize("tract", [1.0, 1.17])
def test_a_whispered_vowel_peaks_at_its_first_two_formants(vowel, tract):
    """A whisper has no harmonics: its spectrum is the tract's."""
    whisper = dataclasses.replace(STEADY, phonation=0.0, tract=tract)
    hertz, level = spectrum(speak([Syllable(vowel, length=2 * LONG)], whisper), size=512)
    for formant in PHONES[vowel][0].formants[:2]:
        near = np.abs(hertz - tract * formant) < 130
        around = np.abs(hertz - tract * formant) < 400
        assert level[near].max() >= level[around].max() - 6
        assert level[near].max() > level[(hertz > 6_500) & (hertz < 7_500)].mean() + 15


def test_a_longer_tract_moves_the_spectrum_down():
    centroids = []
    for tract in (0.9, 1.0, 1.1, 1.2):
        hertz, level = spectrum(speak([Syllable("A", length=LONG)], dataclasses.replace(STEADY, tract=tract)))
        power = 10 ** (level / 10)
        centroids.append((hertz * power).sum() / power.sum())
    assert centroids == sorted(centroids)


def test_a_dull_voice_is_duller_and_a_breathy_one_noisier():
    def high(**change):
        hertz, level = spectrum(speak([Syllable("a", length=LONG)], dataclasses.replace(STEADY, **change)))
        return level[hertz > 3_000].mean()

    assert high(dullness=3.0) < high(dullness=1.0) - 3
    assert high(breath=0.3) > high(breath=0.0) + 3


@pytest.mark.parametrize("phone", ["s", "S", "f"])
def test_friction_is_in_its_band(phone):
    low, high = PHONES[phone][0].band
    waveform = speak([Syllable(phone)], STEADY)
    hertz, power = signal.welch(waveform, RATE, nperseg=256)
    assert power[(hertz > low) & (hertz < high)].sum() > 0.7 * power.sum()


@settings(max_examples=25, deadline=None)
@given(
    words=st.lists(st.lists(st.sampled_from(sorted(PHONES)), min_size=1, max_size=4), min_size=1, max_size=3),
    f0=st.floats(70, 350),
    tract=st.floats(0.85, 1.25),
    speed=st.floats(0.6, 1.5),
    seed=st.integers(0, 100),
)
def test_whatever_is_said_is_finite_as_loud_and_as_long_as_told(words, f0, tract, speed, seed):
    voice = Voice(f0=f0, tract=tract, speed=speed, level=-26.0)
    said = [Syllable("".join(word)) for word in words]
    waveform = speak(said, voice, seed)
    np.testing.assert_array_equal(waveform, speak(said, voice, seed))
    assert waveform.dtype == np.float32
    assert np.isfinite(waveform).all()
    assert 20 * np.log10(np.sqrt(np.mean(waveform**2))) == pytest.approx(-26, abs=1.5)  # peaks may be cut
    sounds = [sound for word in words for phone in word for sound in PHONES[phone]]
    told = sum(sound.seconds for sound in sounds) / speed
    assert len(waveform) / RATE == pytest.approx(told, abs=0.005 * len(sounds))


def test_another_seed_is_another_take():
    assert not np.array_equal(speak([Syllable("sa")], Voice(), 0), speak([Syllable("sa")], Voice(), 1))


@pytest.mark.parametrize(("said", "wrong"), [([], "nothing"), ([Syllable("")], "nothing"), ([Syllable("ax")], "x")])
def test_what_cannot_be_said(said, wrong):
    with pytest.raises(ValueError, match=rf"what is said must be of .*, got {wrong}\."):
        speak(said, Voice())


@pytest.mark.parametrize("decibels", [-30.0, -10.0])
def test_a_recording_has_the_noise_it_was_given(decibels):
    """Of a sound with a silent half."""
    waveform = np.concatenate([speak([Syllable("a", length=LONG)], STEADY), np.zeros(RATE, np.float32)])
    found = record(waveform, np.random.default_rng(0), noise_db=decibels)
    noise = 20 * np.log10(np.std(found[-RATE // 2 :]) / np.sqrt(np.mean(found**2)))
    assert noise == pytest.approx(decibels, abs=1.5)
