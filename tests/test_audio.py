"""What reading must give: every format, rate, width and way in, against soundfile and soxr used in one shot."""

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.sounds import Pipe, encode, flac_claiming, mp3_without_length, noise, tone, wav
from trill import audio

# format, subtype, largest error of 16-bit noise after a round trip (None: lossy)
FORMATS = (
    ("WAV", "PCM_U8", 2**-7),
    ("WAV", "PCM_16", 2**-15),
    ("WAV", "PCM_24", 2**-22),
    ("WAV", "PCM_32", 2**-22),
    ("WAV", "FLOAT", 2**-22),
    ("WAV", "DOUBLE", 2**-22),
    ("WAV", "ULAW", None),
    ("FLAC", "PCM_16", 2**-15),
    ("FLAC", "PCM_24", 2**-22),
    ("AIFF", "PCM_16", 2**-15),
    ("AU", "PCM_16", 2**-15),
    ("CAF", "PCM_16", 2**-15),
    ("W64", "PCM_16", 2**-15),
    ("MP3", "MPEG_LAYER_III", None),
    ("OGG", "VORBIS", None),
    ("OGG", "OPUS", None),
)
LENGTHS = ("WAV", "FLAC", "MP3", "OGG")


def by_hand(data, target_rate=16_000):
    """The definition: decode in one piece, average channels in float64, resample in one piece, clip."""
    with soundfile.SoundFile(io.BytesIO(data)) as file:  # soundfile.read seeks first, which changes an MP3 by 1e-7
        rate, samples = file.samplerate, file.read(dtype="float32", always_2d=True)
    mono = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    return np.clip(mono if rate == target_rate else soxr.resample(mono, rate, target_rate, "HQ"), -1, 1)


@pytest.mark.parametrize(("format_", "subtype", "error"), FORMATS)
def test_every_format(format_, subtype, error, tmp_path):
    samples = noise(8000) if error else tone()
    path = tmp_path / "clip.bin"  # the name does not matter
    path.write_bytes(encode(samples, format=format_, subtype=subtype))
    waveform = audio.read(path)
    assert waveform.dtype == np.float32
    assert waveform.shape == samples.shape
    inner = slice(None) if error else slice(500, -500)  # lossy coders smear the ends
    np.testing.assert_allclose(waveform[inner], samples[inner], atol=error or 0.05, rtol=0)


@pytest.mark.parametrize("format_", LENGTHS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_channels_are_the_definition(format_, rate, channels):
    if format_ == "MP3":  # which has no more
        rate, channels = min(rate, 48_000), min(channels, 2)
    data = encode(noise((rate // 5, channels)), rate, format_)
    np.testing.assert_array_equal(audio.read(data), by_hand(data))


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000, 768_000])
def test_a_tone_keeps_its_pitch_level_and_length(rate):
    waveform = audio.read(tone(1.0, rate, hertz=1000, level=0.5), sample_rate=rate)
    assert abs(len(waveform) - 16_000) <= 1
    spectrum = np.abs(np.fft.rfft(waveform[4000:12_000]))  # bins of 2 Hz, away from the ends
    assert np.argmax(spectrum) * 2 == 1000
    assert spectrum.max() / 4000 == pytest.approx(0.5, rel=1e-3)


def test_what_16_khz_cannot_hold_is_filtered_out():
    assert np.abs(audio.read(tone(1.0, 48_000, hertz=12_000), sample_rate=48_000)[500:-500]).max() < 1e-4


@pytest.mark.parametrize("block_seconds", [1e-9, 0.01, 0.37, 1e9])
@pytest.mark.parametrize(("format_", "subtype"), [(row[0], row[1]) for row in FORMATS])
def test_blocks_equal_read(format_, subtype, block_seconds):
    if block_seconds < 1e-3:
        data = encode(noise((120, 2)), 8_000, format_, subtype)  # one sample a block
    else:
        data = encode(noise((24_000, 2)), 48_000, format_, subtype)
    pieces = list(audio.blocks(data, block_seconds=block_seconds))
    assert all(len(piece) for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), audio.read(data))
    np.testing.assert_array_equal(np.concatenate(pieces), by_hand(data))


def test_blocks_are_short_for_many_channels():
    frames = [len(block) for block in audio.blocks(np.zeros((80_000, 64), np.int8), 16_000)]
    assert frames == [audio.MAX_BLOCK_VALUES // 64, 80_000 - audio.MAX_BLOCK_VALUES // 64]


def test_a_long_file_is_decoded_no_further_than_asked(tmp_path, monkeypatch):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(16_000 * 120, np.int16), 16_000)
    sizes = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, size, **options: sizes.append(size) or read(self, size, **options)
    )
    stream = audio.blocks(path)
    assert len(next(stream)) == 160_000
    stream.close()
    assert sizes == [160_000]


def test_ways_in(tmp_path):
    data = encode(noise(20_000), format="FLAC")
    path = tmp_path / "clip.flac"
    path.write_bytes(data)
    file = io.BytesIO(data)
    file.seek(0, os.SEEK_END)  # as after writing
    with path.open("rb") as opened, path.open("rb", buffering=0) as raw:
        ways = [str(path), path, data, bytearray(data), file, opened, raw, Pipe(data), Pipe(data, step=7)]
        for way in ways:
            np.testing.assert_array_equal(audio.read(way), by_hand(data), err_msg=repr(way))
        assert [way.closed for way in (file, opened, raw)] == [False] * 3


def test_a_real_pipe():
    data = encode(noise(100_000))
    source, sink = os.pipe()
    writer = threading.Thread(target=lambda: [os.write(sink, data[i : i + 4096]) for i in range(0, len(data), 4096)])
    writer.start()
    with os.fdopen(source, "rb") as stream, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(audio.read, stream)
        writer.join()
        os.close(sink)
        np.testing.assert_array_equal(reading.result(), by_hand(data))


def test_a_path_is_closed_after_reading_and_after_leaving_off(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(encode(noise(50_000)))
    before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    audio.read(path)
    for _ in audio.blocks(path, block_seconds=0.1):
        break
    path.write_bytes(b"no sound")
    with pytest.raises(audio.AudioError):
        audio.read(path)
    assert len(os.listdir("/proc/self/fd") if before else []) == len(before)


def test_threads_do_not_disturb_each_other():
    sounds = [encode(noise((9000, 2), seed), 44_100, LENGTHS[seed % 4]) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for waveform, data in zip(pool.map(audio.read, sounds), sounds, strict=True):
            np.testing.assert_array_equal(waveform, by_hand(data))


# Arrays

FULL_SCALE = (
    (np.int8, [-(2**7), 0, 2**6, 2**7 - 1], [-1, 0, 0.5, 1 - 2**-7]),
    (np.uint8, [0, 128, 192, 255], [-1, 0, 0.5, 1 - 2**-7]),
    (np.int16, [-(2**15), 0, 2**14, 2**15 - 1], [-1, 0, 0.5, 1 - 2**-15]),
    (np.int32, [-(2**31), 0, 2**30, 2**31 - 1], [-1, 0, 0.5, 1]),  # float32 rounds the last
    (np.float16, [-1, 0, 0.5, 1], [-1, 0, 0.5, 1]),
    (np.float32, [-1.5, 0, 0.5, 9.9], [-1, 0, 0.5, 1]),  # clipped
    (np.float64, [-10, -1e-300, 0.5, 10], [-1, 0, 0.5, 1]),
)


@pytest.mark.parametrize(("dtype", "stored", "samples"), FULL_SCALE)
@pytest.mark.parametrize("order", ["=", ">"])
def test_full_scale_of_every_width(dtype, stored, samples, order):
    array = np.array(stored, np.dtype(dtype).newbyteorder(order))
    np.testing.assert_array_equal(audio.read(array, 16_000), np.float32(samples))
    np.testing.assert_array_equal(audio.read(np.stack([array, array], 1), 16_000), np.float32(samples))


@pytest.mark.parametrize(("dtype", "channels"), [(np.int16, 3), (np.int32, 1)])
def test_an_array_equals_the_same_samples_in_a_file(dtype, channels):
    samples = (noise((3000, channels)) * np.iinfo(dtype).max).astype(dtype)
    file = encode(samples, 44_100, subtype=f"PCM_{8 * samples.itemsize}")
    np.testing.assert_array_equal(audio.read(samples, 44_100), audio.read(file))


def test_channels_are_averaged():
    samples = np.array([[1.0, 0.0, -0.25], [0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(audio.read(samples, 16_000), np.float32([0.25, 0.5]))


def test_views_and_memory_maps(tmp_path):
    samples = noise((500, 2)).astype(np.float32)
    expected = audio.read(samples, 16_000)
    np.save(tmp_path / "x.npy", samples)
    for view in (np.asfortranarray(samples), np.repeat(samples, 2, 0)[::2], np.load(tmp_path / "x.npy", mmap_mode="r")):
        np.testing.assert_array_equal(audio.read(view, 16_000), expected)


def test_the_result_is_the_callers_own():
    samples = np.zeros(10, np.float32)
    audio.read(samples, 16_000)[:] = 1
    assert not samples.any()


def test_sample_rate_may_be_any_whole_number_type():
    for rate in (8000, 8000.0, np.int32(8000), np.float32(8000)):
        assert len(audio.read(np.zeros(80), rate)) == 160
    assert len(audio.read(encode(np.zeros(80), 8000), 8000)) == 160  # the header's own is allowed


def test_target_rate():
    assert len(audio.read(np.zeros(16_000), 16_000, target_rate=24_000)) == 24_000


@pytest.mark.parametrize(
    ("samples", "expected"),
    [(np.zeros(160), np.zeros(160)), (np.zeros(1), np.zeros(1)), (np.full(9000, 1.0), np.ones(9000))],
    ids=["10 ms of silence", "one sample", "clipped"],
)
def test_odd_sound_is_just_read(samples, expected):
    np.testing.assert_array_equal(audio.read(samples, 16_000), np.float32(expected))
    np.testing.assert_array_equal(audio.read(encode(samples, subtype="FLOAT")), np.float32(expected))


def test_overshoot_of_resampling_is_clipped():
    square = np.sign(tone(0.2, 44_100, hertz=700))
    assert np.abs(soxr.resample(square, 44_100, 16_000)).max() > 1.05
    assert np.abs(audio.read(square, 44_100)).max() == 1


# Headers that do not tell the truth, and are read all the same


@pytest.mark.parametrize("claimed_bytes", [3 * 3600 * 32_000, 2**32 - 1])
def test_a_wav_that_claims_hours_gives_what_is_there(claimed_bytes):
    assert len(audio.read(wav(data=bytes(320), claimed_bytes=claimed_bytes))) == 160


@pytest.mark.parametrize("format_", ["WAV", "AIFF", "OGG", "MP3"])
def test_a_cut_file_without_a_reliable_length_gives_what_is_there(format_):
    data = encode(noise(80_000), format=format_)
    waveform = audio.read(data[: len(data) * 2 // 3])
    assert 80_000 * 0.4 < len(waveform) < 80_000 * 0.7


def test_a_flac_of_unknown_length_is_read_to_its_end():
    samples = (noise(50_000) * 2**15).astype(np.int16)
    np.testing.assert_array_equal(audio.read(flac_claiming(samples, 0)), audio.read(samples, 16_000))


def test_an_mp3_without_length_is_read_to_its_end_if_libsndfile_guesses_too_much():
    quiet_start = np.concatenate([np.zeros(16_000), noise(64_000)])
    data = mp3_without_length(quiet_start, bitrate_mode="VARIABLE", compression_level=0.4)
    assert soundfile.info(io.BytesIO(data)).frames > 100_000  # the guess
    assert 80_000 <= len(audio.read(data)) < 83_000  # with the encoder's padding


# Chunks


def test_chunks_count_samples_and_may_be_empty():
    reader = audio.ChunkReader(16_000)
    assert len(reader.push(np.zeros(0))) == 0
    assert len(reader.push(np.zeros((5, 2), np.int16))) == 5
    assert reader.num_samples == 5
    with pytest.raises(audio.AudioError, match=r"the stream must be an array of type int8.*, got list\. Convert"):
        reader.push([0.0])
    with pytest.raises(audio.AudioError, match=r"got nan at sample 7, channel 1 of the stream"):
        reader.push(np.array([[0, 0], [0, 0], [0, np.nan]]))


# What must hold for every sound

DTYPES = st.sampled_from([row[0] for row in FULL_SCALE])
SHAPES = st.one_of(st.tuples(st.integers(1, 300)), st.tuples(st.integers(1, 300), st.integers(1, 8)))


def arrays_of(dtype, shape=SHAPES):
    bounds = {"min_value": -10, "max_value": 10} if np.dtype(dtype).kind == "f" else {}
    return arrays.arrays(dtype, shape, elements=arrays.from_dtype(np.dtype(dtype), **bounds))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=DTYPES, rate=st.integers(1_000, 60_000), block_seconds=st.floats(1e-5, 0.5))
def test_any_array_in_any_blocks(data, dtype, rate, block_seconds):
    samples = data.draw(arrays_of(dtype))
    assume(len(samples) * 16_000 > rate)  # else it may be shorter than one sample
    whole = audio.read(samples, rate)
    assert whole.dtype == np.float32
    assert np.abs(whole).max() <= 1
    assert abs(len(whole) - len(samples) * 16_000 / rate) <= 1
    pieces = list(audio.blocks(samples, rate, block_seconds=block_seconds))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=DTYPES, cuts=st.lists(st.integers(0, 300), max_size=6))
def test_any_chunks_equal_the_whole(data, dtype, cuts):
    samples = data.draw(arrays_of(dtype))
    reader = audio.ChunkReader(11_025)
    ready = [reader.push(chunk) for chunk in np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))]
    np.testing.assert_array_equal(np.concatenate([*ready, reader.finish()]), audio.read(samples, 11_025))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=DTYPES, channels=st.integers(1, audio.MAX_CHANNELS))
def test_identical_channels_equal_the_channel(data, dtype, channels):
    mono = data.draw(arrays_of(dtype, st.tuples(st.integers(1, 50))))
    many = np.repeat(mono[:, None], channels, axis=1)
    np.testing.assert_array_equal(audio.read(many, 16_000), audio.read(mono, 16_000))


@settings(max_examples=200, deadline=None)
@given(
    junk=st.binary(max_size=300),
    start=st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", wav()[:44]]),
)
def test_junk_is_read_or_refused_in_our_words(junk, start):
    try:
        waveform = audio.read(start + junk)
    except audio.AudioError:
        return
    assert np.isfinite(waveform).all()
