"""Sound in chunks of any size gives what the whole sound gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import noise
from trill.errors import AudioError

CUTS = st.lists(st.integers(0, 120_000), max_size=12)


def streamed(embedder, chunks, sample_rate=None):
    """The windows of all pushes and of the end: embeddings `(n, dim)`, times `(n, 2)`."""
    stream = embedder.stream(sample_rate)
    windows = [window for chunk in chunks for window in stream.push(chunk)] + stream.finish()
    return np.array([w.embedding for w in windows]), np.array([(w.start, w.end) for w in windows])


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=20, deadline=None)
@given(length=st.integers(1, 50_000), hop=st.sampled_from([2_720, 8_000, 15_600, 20_001]), cuts=CUTS)
def test_chunks_of_any_size(embedder, length, hop, cuts):
    embedder = embedder.using(hop_seconds=hop / 16_000)
    waveform = noise(length, length, level=0.3)
    chunks = np.split(waveform, sorted(min(cut, length) for cut in cuts))
    assert_same(streamed(embedder, chunks), embedder.embed_timed(waveform, 16_000))


@settings(max_examples=20, deadline=None)
@given(length=st.integers(3, 120_000), cuts=CUTS)
def test_a_stereo_microphone_at_48_khz(embedder, length, cuts):
    samples = (noise((length, 2), length) * 2**15).astype(np.int16)
    chunks = np.split(samples, sorted(min(cut, length) for cut in cuts))
    found = streamed(embedder, chunks, 48_000)
    assert_same(found, embedder.embed_timed(samples, 48_000))
    assert_same(found[:1], [embedder.embed(samples, 48_000, pooling=None)])


def test_single_samples(embedder):
    waveform = noise(15_700)
    assert_same(streamed(embedder, waveform[:, None]), embedder.embed_timed(waveform, 16_000))


def test_times_are_window_times(embedder):
    _, times = streamed(embedder, [noise(40_000)])
    np.testing.assert_array_equal(times, embedder.window_times(40_000))
    assert times[-1].tolist() == [1.53, 2.5]


def test_a_window_comes_with_the_chunk_that_completes_it(embedder):
    stream = embedder.stream()
    assert [len(stream.push(noise(size))) for size in (15_599, 1, 2_719, 1, 3 * 2_720)] == [0, 1, 0, 1, 3]
    assert stream.finish() == []


def test_streams_of_one_embedder_do_not_mix(embedder):
    sounds = [noise(30_000, seed, level=0.3) for seed in range(2)]
    streams = [embedder.stream() for _ in sounds]
    windows = [[], []]
    for start in range(0, 30_000, 1_000):
        for stream, found, waveform in zip(streams, windows, sounds, strict=True):
            found.extend(stream.push(waveform[start : start + 1_000]))
    for stream, found, waveform in zip(streams, windows, sounds, strict=True):
        found.extend(stream.finish())
        np.testing.assert_array_equal([w.embedding for w in found], embedder.embed_windows(waveform))


@pytest.mark.parametrize("chunks", [[], [np.empty(0)], [np.empty((0, 2), np.int16)] * 3])
def test_a_stream_of_nothing_has_no_windows(embedder, chunks):
    stream = embedder.stream(48_000)
    assert [stream.push(chunk) for chunk in chunks] == [[]] * len(chunks)
    assert stream.finish() == []


def test_the_shortest_sound_has_one_window(embedder):
    embeddings, times = streamed(embedder, [np.array([0.5])])
    assert embeddings.shape == (1, embedder.embedding_dim)
    assert times.tolist() == [[0.0, 1 / 16_000]]


def test_nothing_follows_the_end(embedder):
    stream = embedder.stream()
    stream.push(np.zeros(100))
    stream.finish()
    for late in (lambda: stream.push(np.zeros(100)), stream.finish):
        with pytest.raises(
            ValueError, match=r"takes no sound after finish\(\)\. Begin another: embedder\.stream\(\)\."
        ):
            late()


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.array([0, 0, np.nan]), r"must be finite, got nan at sample 10002 of the stream\. Repair"),
        (np.array([[0, 0], [0, np.inf]]), "got inf at sample 10001, channel 1 of the stream"),
        (np.array([20_000.0]), r"must lie in \[-1, 1\], got 20000 at sample 10000"),
        (np.zeros(9, np.int64), r"must be .*of type .*got int64\. Convert it"),
        (np.zeros((9, 2, 3)), r"must be .*num_samples.*got 3 dimensions"),
    ],
)
def test_a_bad_chunk_is_told_and_leaves_the_stream_as_it_was(embedder, chunk, message):
    waveform = noise(30_000, level=0.3)
    stream = embedder.stream()
    windows = stream.push(waveform[:10_000])
    with pytest.raises(AudioError, match=message):
        stream.push(chunk)
    windows += stream.push(waveform[10_000:]) + stream.finish()
    np.testing.assert_array_equal([w.embedding for w in windows], embedder.embed_windows(waveform))


@pytest.mark.parametrize("rate", [0, 44.1, float("nan")])
def test_the_rate_is_checked_before_the_first_chunk(embedder, rate):
    with pytest.raises(AudioError, match=f"sample_rate must be positive, .* got {rate}"):
        embedder.stream(rate)
