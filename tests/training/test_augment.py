"""Rows of a recipe as one function, and what must hold for each of them."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trill.training import augment, effects

SOUNDS = [np.random.default_rng(8).normal(0, 0.1, size).astype(np.float32) for size in (900, 20_000)]
anything = np.random.default_rng(0).uniform(-0.5, 0.5, 15_600).astype(np.float32)


def generator(seed=1):
    return np.random.default_rng(seed)


def named(name, **settings):
    """An augmentation by its name, without `chain` around it."""
    factory = augment.AUGMENTATIONS[name]
    return factory(SOUNDS, **settings) if name == "noise" else factory(**settings)


# Sometimes, chain, build


@pytest.mark.parametrize(("probability", "least", "most"), [(0, 0, 0), (0.3, 240, 360), (1, 1000, 1000)])
def test_sometimes_applies_with_its_probability(probability, least, most):
    flip = augment.sometimes(lambda waveform, rng: -waveform, probability)
    draw = generator()
    assert least <= sum(flip(np.ones(1), draw)[0] == -1 for _ in range(1000)) <= most


def test_chain_applies_in_order_then_clips():
    plus, double = (lambda waveform, rng: waveform + np.float32(0.25)), (lambda waveform, rng: waveform * 2)
    waveform = np.float32([0.1, -0.9, 0.9])
    np.testing.assert_allclose(augment.chain([plus, double])(waveform, generator()), [0.7, -1, 1])
    np.testing.assert_allclose(augment.chain([double, plus])(waveform, generator()), [0.45, -1, 1])


@pytest.mark.parametrize(
    "waveform", [np.zeros(0, np.float32), np.zeros((2, 3), np.float32), np.zeros(3), np.zeros(3, int)]
)
def test_chain_says_what_it_takes(waveform):
    with pytest.raises(ValueError, match=r"non-empty float32 vector, got .* of shape .*window by window"):
        augment.build({})(waveform, generator())


def test_no_rows_leave_the_waveform_as_it_is():
    out = augment.build({})(anything, generator())
    np.testing.assert_array_equal(out, anything)
    assert not np.shares_memory(out, anything)


def test_rows_apply_in_their_order_with_their_settings_and_probability():
    rows = {"codec": {"low_bits": 5, "high_bits": 5}, "gain": {"low_db": -9, "probability": 0.5}, "noise": {}}
    by_hand = augment.chain(
        [
            augment.sometimes(effects.codec(low_bits=5, high_bits=5), 1),
            augment.sometimes(effects.gain(low_db=-9), 0.5),
            augment.sometimes(effects.noise(SOUNDS), 1),
        ]
    )
    built = augment.build(rows, SOUNDS)
    backwards = augment.build(dict(reversed(rows.items())), SOUNDS)
    for seed in range(5):
        np.testing.assert_array_equal(built(anything, generator(seed)), by_hand(anything, generator(seed)))
        assert (built(anything, generator(seed)) != backwards(anything, generator(seed))).any()


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_build_passes_the_sample_rate(name):
    built = augment.build({name: {}}, SOUNDS, sample_rate=8_000)
    takes_rate = "sample_rate" in inspect.signature(augment.AUGMENTATIONS[name]).parameters
    by_hand = augment.chain([augment.sometimes(named(name, **{"sample_rate": 8_000} if takes_rate else {}), 1)])
    at_16k = augment.build({name: {}}, SOUNDS)
    np.testing.assert_array_equal(built(anything, generator()), by_hand(anything, generator()))
    assert takes_rate == (built(anything, generator()) != at_16k(anything, generator())).any()


# What holds for every row

SETTINGS = {
    "gain": {"high_db": 100},
    "noise": {"low_snr_db": -100},
    "reverberation": {"low_seconds": 0.001, "low_ratio_db": -100, "high_ratio_db": 100},
    "band_limit": {"low_hz": 4_000, "high_hz": 4_000},
    "codec": {"low_bits": 2, "high_bits": 16},
    "mask_time": {"max_seconds": 10, "count": 5},
    "mask_frequency": {"max_mels": 2_840, "count": 5},
    "speed": {"low": 0.25, "high": 4},
    "equalise": {"max_db": 60, "points": 100},
    "formants": {"low": 0.5, "high": 2},
}


def test_every_row_is_tried_to_its_limits():
    assert SETTINGS.keys() == augment.AUGMENTATIONS.keys()


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
@given(
    length=st.integers(1, 3000),
    level=st.sampled_from([0, 1e-44, 1e-20, 1e-4, 0.1, 1]),
    kind=st.sampled_from(["noise", "last sample", "constant"]),
    seed=st.integers(0, 2**32),
)
def test_every_row_gives_the_same_length_and_keeps_the_rules(name, length, level, kind, seed):
    waveform = np.full(length, level, np.float32)
    if kind == "noise":
        waveform *= generator(seed).uniform(-1, 1, length).astype(np.float32)
    if kind == "last sample":
        waveform[:-1] = 0
    before = waveform.copy()
    waveform.flags.writeable = False
    alone, chained = named(name, **SETTINGS[name]), augment.build({name: SETTINGS[name]}, SOUNDS)
    for out in (alone(waveform, generator(seed)), chained(waveform, generator(seed))):
        assert out.shape == waveform.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert level > 0 or not out.any()  # silence stays silence
    assert np.abs(out).max() <= 1
    np.testing.assert_array_equal(out, chained(waveform, generator(seed)))
    np.testing.assert_array_equal(waveform, before)


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_every_row_draws(name):
    """Another seed gives another window, and so does the next draw of the same generator."""
    augmentation, draw = augment.build({name: {}}, SOUNDS), generator()
    from_one = [augmentation(anything, draw).tobytes() for _ in range(8)]
    from_seeds = [augmentation(anything, generator(seed)).tobytes() for seed in range(8)]
    draws = 3 if name == "codec" else 7  # of four numbers of bits; of neighbouring factors of speed
    assert len(set(from_one)) >= draws
    assert len(set(from_seeds)) >= draws
    assert anything.tobytes() not in {*from_one, *from_seeds}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"echo": {}}, r"augmentations must be among gain, noise, .*, got echo\. Correct the recipe"),
        ({"gain": {"hi": 3}}, r"augmentation gain: keys must be among low_db, high_db, probability, got hi\. Correct"),
        (
            {"speed": {"sample_rate": 3}},
            r"augmentation speed: keys must be among low, high, probability, got sample_rate",
        ),
        ({"noise": {"sounds": []}}, r"keys must be among low_snr_db, high_snr_db, probability, got sounds"),
        ({"gain": 3}, r"augmentation gain: keys must be among .*, got 3\. Correct"),
        ({"noise": {}}, r"augmentation noise: noise needs at least one sound, got none\. Pass .*--noise FOLDER"),
        ({"gain": {"probability": 1.5}}, r"augmentation gain: .*0 <= probability <= 1, got 1\.5\. Or leave"),
        ({"gain": {"low_db": 7}}, r"-100 <= low_db <= high_db <= 100, got 7 and 6\.0\. Or leave them out"),
        ({"gain": {"low_db": "7"}}, r"-100 <= low_db <= high_db <= 100, got '7' and 6\.0"),
        ({"gain": {"high_db": float("nan")}}, r"low_db <= high_db <= 100, got -15\.0 and nan"),
        ({"reverberation": {"low_seconds": 0}}, r"0\.001 <= low_seconds <= high_seconds <= 10, got 0 and 0\.8"),
        ({"reverberation": {"low_ratio_db": 20}}, r"low_ratio_db <= high_ratio_db <= 100, got 20 and 15\.0"),
        ({"band_limit": {"high_hz": 9_000}}, r"0 <= low_hz <= high_hz <= 8000, got 300\.0 and 9000"),
        ({"band_limit": {"low_hz": 4_000}}, r"0 <= low_hz <= high_hz <= 8000, got 4000 and 3400\.0"),
        ({"codec": {"low_bits": 1}}, r"2 <= low_bits <= high_bits <= 16 in whole numbers, got 1 and 8"),
        ({"codec": {"low_bits": 5.5}}, r"2 <= low_bits <= high_bits <= 16 in whole numbers, got 5\.5 and 8"),
        ({"mask_time": {"max_seconds": -1}}, r"0 <= max_seconds <= 3600, got -1"),
        ({"mask_time": {"count": 0}}, r"1 <= count <= 100 in whole numbers, got 0"),
        ({"mask_frequency": {"max_mels": 3_000}}, r"0 <= max_mels <= 2840.*, got 3000"),
        ({"mask_frequency": {"count": 2.5}}, r"1 <= count <= 100 in whole numbers, got 2\.5"),
        ({"speed": {"low": 0}}, r"0\.25 <= low <= high <= 4, got 0 and 1\.1"),
        ({"equalise": {"max_db": 61}}, r"0 <= max_db <= 60, got 61"),
        ({"equalise": {"points": 1}}, r"2 <= points <= 100 in whole numbers, got 1"),
    ],
)
def test_a_wrong_row_says_the_way_out(rows, message):
    with pytest.raises(ValueError, match=message):
        augment.build(rows)


@pytest.mark.parametrize("name", ["reverberation", "band_limit", "codec", "mask_time", "mask_frequency", "equalise"])
def test_a_sample_rate_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=rf"augmentation {name}: .* <= sample_rate <= .*, got 0"):
        augment.build({name: {}}, sample_rate=0)
