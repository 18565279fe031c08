"""Batches as a function of seed and step. Clips are ramps, so that a window tells where it starts."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trill.training.cache import FULL_SCALE, Cache
from trill.training.sampling import Pairs

RATE = 10


def ramps(lengths):
    """A cache of clips that count 1, 2, 3, ...; 0 is what follows a clip."""
    samples = np.concatenate([np.arange(1, length + 1) for length in lengths]).astype(np.int16)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Cache(samples, starts, [f"{i}.wav" for i in range(len(lengths))], RATE, {}, {})


def counts(windows):
    return np.rint(windows * FULL_SCALE).astype(int)


def starts_of(pairs, steps):
    """`(pairs, 2)`: where the windows of so many batches start."""
    return np.concatenate([counts(pairs(step)[0])[:, 0].reshape(-1, 2) - 1 for step in range(steps)])


lengths = st.lists(st.integers(1, 60), min_size=2, max_size=12)
taus = st.none() | st.floats(0, 7)


@settings(deadline=None)
@given(lengths, st.integers(1, 20), taus, st.integers(0, 2**32), st.integers(0, 2**20), st.data())
def test_a_batch_keeps_the_rules(lengths, window, tau, seed, step, data):
    batch_size = 2 * data.draw(st.integers(2, len(lengths)))
    pairs = Pairs(ramps(lengths), window, batch_size, seed, tau)
    windows, clips = pairs(step)
    assert (windows.dtype, windows.shape) == (np.float32, (batch_size, window))
    assert (clips.dtype, clips.shape) == (np.int32, (batch_size,))
    assert (clips[::2] == clips[1::2]).all()
    assert len(set(clips)) == batch_size // 2
    starts = counts(windows)[:, 0] - 1
    for start, clip, found in zip(starts, clips, counts(windows), strict=True):
        ramp = [*range(1, lengths[clip] + 1)]
        assert 0 <= start <= max(0, len(ramp) - window)
        assert found.tolist() == (ramp[start : start + window] + [0] * window)[:window]
    if tau is not None:
        assert (abs(starts[::2] - starts[1::2]) <= round(tau * RATE)).all()

    again, same_clips = Pairs(ramps(lengths), window, batch_size, seed, tau)(step)
    np.testing.assert_array_equal(again, windows)
    np.testing.assert_array_equal(same_clips, clips)


@pytest.mark.parametrize("tau", [None, 0, 0.36, 1.1, 100])
def test_every_start_and_every_separation_up_to_tau_comes(tau):
    """Clips of 20, windows of 5: they start at 0 to 15."""
    starts = starts_of(Pairs(ramps([20] * 20), 5, 40, 0, tau), steps=100)
    assert set(starts[:, 0]) == set(starts[:, 1]) == set(range(16))
    farthest = 15 if tau is None else min(15, round(tau * RATE))
    assert set(starts[:, 0] - starts[:, 1]) == set(range(-farthest, farthest + 1))


def test_anchors_are_uniform():
    found = np.bincount(starts_of(Pairs(ramps([20] * 20), 5, 40, 0), steps=200)[:, 0], minlength=16)
    assert (abs(found - 250) < 5 * np.sqrt(250)).all()


def test_a_minute_counts_the_same_in_one_clip_or_in_ten():
    """A thousand samples as one clip, as ten, as a hundred; drawn a few at a time from many others."""
    pairs = Pairs(ramps([1000] + [100] * 10 + [10] * 100 + [30] * 400), 5, 4, seed=1)
    drawn = np.concatenate([pairs(step)[1][::2] for step in range(3000)])
    parts = [np.sum(drawn < 1), np.sum((drawn >= 1) & (drawn < 11)), np.sum((drawn >= 11) & (drawn < 111))]
    expected = len(drawn) / 15
    assert np.abs(np.array(parts) - expected).max() < 4 * np.sqrt(expected)


@pytest.mark.parametrize("other", [{"seed": 1, "step": 0}, {"seed": 0, "step": 1}])
def test_another_seed_or_step_is_another_batch(other):
    cache = ramps([50] * 30)
    assert (Pairs(cache, 5, 20, seed=0)(0)[0] != Pairs(cache, 5, 20, other["seed"])(other["step"])[0]).any()


def test_the_stream_stays():
    """Runs that were stopped go on with it: what changes these figures parts them from their beginning."""
    windows, clips = Pairs(ramps(range(20, 60)), 5, 8, seed=3, max_separation_seconds=1)(7)
    assert clips[::2].tolist() == [30, 28, 25, 16]
    assert (counts(windows)[:, 0] - 1).tolist() == [5, 4, 42, 40, 28, 28, 7, 15]


def test_each_window_is_augmented_by_itself_in_order():
    cache, drawn = ramps([50] * 30), []

    def augment(window, rng):
        drawn.append(rng.random())
        return window + np.float32(drawn[-1])

    augmented, clips = Pairs(cache, 5, 20, seed=4, augment=augment)(2)
    plain, same_clips = Pairs(cache, 5, 20, seed=4)(2)
    np.testing.assert_array_equal(clips, same_clips)
    np.testing.assert_array_equal(augmented, plain + np.float32(drawn)[:, None])
    assert len(set(drawn)) == 20


def test_threads_give_the_same():
    pairs = Pairs(ramps([50] * 30), 5, 20, augment=lambda window, rng: window * np.float32(rng.random()))
    alone = [pairs(step)[0].tobytes() for step in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda step: pairs(step)[0].tobytes(), range(200))) == alone


@pytest.mark.parametrize(
    ("clips", "batch_size", "tau", "message"),
    [
        (9, 7, None, r"batch_size must be even, two windows a clip, and at least 4, got 7"),
        (9, 2, None, r"at least 4, got 2"),
        (9, 20, None, r"20 windows needs 10 clips, the corpus has 9\. Pass --batch-size 18 or less, or more sound"),
        (1, 4, None, r"needs 2 clips, the corpus has 1\. Negatives come from other clips: pass a folder with more"),
        (9, 4, -0.1, r"max_separation_seconds must be 0 or more, got -0\.1\. Leave it out for the whole clip"),
        (9, 4, float("nan"), r"must be 0 or more, got nan"),
        (9, 4, float("inf"), r"must be 0 or more, got inf"),
    ],
)
def test_it_says_what_it_takes(clips, batch_size, tau, message):
    with pytest.raises(ValueError, match=message):
        Pairs(ramps([20] * clips), 5, batch_size, max_separation_seconds=tau)
