"""Framing and pooling against loops, and sound in pieces against sound in one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.oracles import windows as oracle
from trill import windows

SIZES = {"length": st.integers(1, 60), "window": st.integers(1, 20), "hop": st.integers(1, 30)}


@settings(deadline=None)
@given(**SIZES)
def test_frame_is_the_definition(length, window, hop):
    waveform = np.arange(1, length + 1)
    framed = windows.frame(waveform, window, hop)
    assert framed.tolist() == oracle.frame(waveform, window, hop)
    assert windows.num_windows(length, window, hop) == len(framed)
    assert windows.times(length, window, hop, sample_rate=7).tolist() == oracle.times(length, window, hop, 7)


@settings(deadline=None)
@given(**SIZES)
def test_hardly_a_sample_is_lost(length, window, hop):
    """Where windows overlap, less than half a hop at the end is in none."""
    hop = min(hop, window)
    seen = set(windows.frame(np.arange(1, length + 1), window, hop).ravel().tolist()) - {0}
    assert seen == set(range(1, len(seen) + 1))
    assert length - len(seen) < hop / 2


@pytest.mark.parametrize(
    ("seconds", "hop", "count"),
    [(0.01, 2_720, 1), (0.975, 2_720, 1), (1, 2_720, 1), (2, 2_720, 7), (2, 15_360, 2), (3, 16_000, 3)],
)
def test_counts_of_the_paper(seconds, hop, count):
    """Windows of 96 frames (15,600 samples) at hops of 17 and 96 frames and of a second."""
    assert windows.num_windows(round(16_000 * seconds), 15_600, hop) == count


def test_frame_copies_nothing_where_nothing_is_padded():
    waveform = np.arange(7)
    assert np.shares_memory(windows.frame(waveform, 3, 2), waveform)


@settings(max_examples=200, deadline=None)
@given(**SIZES, cuts=st.lists(st.integers(0, 60), max_size=8))
def test_framer_gives_the_rows_of_frame_as_soon_as_they_are_whole(length, window, hop, cuts):
    waveform = np.arange(1, length + 1, dtype=np.float32)
    framer, rows = windows.Framer(window, hop), []
    for chunk in np.split(waveform, sorted(min(cut, length) for cut in cuts)):
        rows.extend(framer.push(chunk).tolist())
        assert len(rows) == max(0, (framer.num_samples - window) // hop + 1)
    rows.extend(framer.finish().tolist())
    assert rows == windows.frame(waveform, window, hop).tolist()
    assert framer.finish().shape == (0, window)


def test_framer_takes_sample_by_sample():
    framer = windows.Framer(window=5, hop=3)
    rows = [row.tolist() for sample in range(20) for row in framer.push(np.array([sample]))] + framer.finish().tolist()
    assert rows == windows.frame(np.arange(20), 5, 3).tolist()


def test_framer_of_nothing_gives_nothing():
    framer = windows.Framer(window=5, hop=3)
    assert framer.push(np.empty(0)).shape == framer.finish().shape == (0, 5)


@given(
    rows=arrays.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-1e6, 1e6)),
    how=st.sampled_from(list(windows.POOLINGS)),
)
def test_pool_is_the_definition(rows, how):
    np.testing.assert_allclose(windows.pool(rows, how), oracle.pool(rows, how), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("how", ["median", "", None, 0, "Mean"])
def test_pool_says_what_it_takes(how):
    with pytest.raises(ValueError, match=rf"one of 'mean', 'max', 'mean\+std', got {how!r}\. embed takes None"):
        windows.pool(np.zeros((2, 3)), how)


@pytest.mark.parametrize("waveform", [np.empty(0), np.zeros((2, 3)), np.array(1.0)])
def test_frame_says_what_it_takes(waveform):
    with pytest.raises(ValueError, match=r"non-empty vector, got shape .*Mix channels first: trill\.audio\.read\."):
        windows.frame(waveform, window=4, hop=2)


@pytest.mark.parametrize("sizes", [(0, 4, 2), (-1, 4, 2), (9, 0, 2), (9, 4, 0), (9, 4, -1)])
def test_sizes_must_be_positive(sizes):
    message = "must be positive, got {}, {} and {} samples".format(*sizes)
    for function in (windows.num_windows, lambda *sizes: windows.times(*sizes, 16_000)):
        with pytest.raises(ValueError, match=message):
            function(*sizes)


@pytest.mark.parametrize(("window", "hop"), [(0, 1), (1, 0)])
def test_a_framer_says_so_before_the_first_sample(window, hop):
    with pytest.raises(ValueError, match=f"must be positive, got 1, {window} and {hop} samples"):
        windows.Framer(window, hop)
