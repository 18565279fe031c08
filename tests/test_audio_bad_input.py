"""What is no sound, one row each: the error says the rule, the value received and the way out."""

import io
import os

import numpy as np
import pytest

from tests.sounds import Pipe, encode, flac_claiming, mp3_without_length, noise, wav
from trill import audio
from trill.errors import AudioError, AudioNotFoundError

FLAC = encode(noise(80_000), format="FLAC")
MP3 = encode(noise(80_000), format="MP3")
OGG = encode(noise(80_000), format="OGG")
SILENCE = np.zeros(100)


def with_sample(value, dtype=np.float64, shape=(100,), where=7):
    array = np.zeros(shape, dtype)
    array[where] = value
    return array


def no_file(*_, **__):
    raise PermissionError(13, "Permission denied")


# what it is -> arguments of read, and rule, value and way out of the message
ARRAYS = {
    "no rate": ((SILENCE,), "must be given with an array", "got None", "trill.embed(x, sample_rate=16000)"),
    "rate zero": ((SILENCE, 0), "sample_rate must be positive", "got 0", "trill.embed(x, sample_rate=16000)"),
    "rate negative": ((SILENCE, -8000), "must be positive", "got -8000", "Pass the rate of your array"),
    "rate in kHz": ((SILENCE, 44.1), "from 1000 to 768000 Hz", "got 44.1", "Pass the rate of your array"),
    "rate no whole number": ((SILENCE, 16000.5), "a whole number", "got 16000.5", "Pass the rate"),
    "rate too high": ((SILENCE, 768_001), "to 768000 Hz", "got 768001", "Pass the rate"),
    "rate not a number": ((SILENCE, float("nan")), "a whole number", "got nan", "Pass the rate"),
    "rate infinite": ((SILENCE, float("inf")), "a whole number", "got inf", "Pass the rate"),
    "rate a text": ((SILENCE, "16000"), "a whole number", "got '16000'", "Pass the rate"),
    "rate a truth": ((SILENCE, True), "a whole number", "got True", "Pass the rate"),
    "empty": ((np.zeros(0), 16_000), "at least one sample", "got 0 at 16000 Hz", "not empty"),
    "empty stereo": ((np.zeros((0, 2)), 44_100), "at least one sample", "got 0 at 44100 Hz", "not empty"),
    "shorter than a sample": ((np.zeros(1), 96_000), "one sample at 16000 Hz", "got 1 at 96000 Hz", "not empty"),
    "no channels": ((np.zeros((5, 0)), 16_000), "1 to 64 channels", "got 0", "x.T"),
    "a number": ((np.array(0.5), 16_000), "(num_samples,) or (num_samples, num_channels)", "got 0 dim", "one sound"),
    "three dimensions": ((np.zeros((9, 2, 3)), 16_000), "(num_samples, num_channels)", "(9, 2, 3)", "one sound"),
    "transposed": ((np.zeros((2, 16_000)), 16_000), "1 to 64 channels", "got 16000", "Pass x.T"),
    "int64": ((np.zeros(9, np.int64), 16_000), "type int8, uint8, int16", "got int64", "x.astype(np.int16)"),
    "int64 out of range": ((np.array([40_000]), 16_000), "type int8, uint8", "got int64", "full scale"),
    "uint16": ((np.zeros(9, np.uint16), 16_000), "must be an array of type", "got uint16", "Convert it"),
    "uint32": ((np.zeros(9, np.uint32), 16_000), "must be an array of type", "got uint32", "Convert it"),
    "bool": ((np.zeros(9, bool), 16_000), "must be an array of type", "got bool", "Convert it"),
    "complex": ((np.zeros(9, complex), 16_000), "must be an array of type", "got complex128", "Convert it"),
    "objects": ((np.zeros(9, object), 16_000), "must be an array of type", "got object", "Convert it"),
    "texts": ((np.array(["a.wav"]), 16_000), "must be an array of type", "got str160", "Convert it"),
    "NaN": ((with_sample(np.nan), 16_000), "must be finite", "got nan at sample 7 of", "np.nan_to_num(x)"),
    "infinity": ((with_sample(-np.inf), 16_000), "must be finite", "got -inf at sample 7 of", "np.nan_to_num(x)"),
    "NaN in a channel": (
        (with_sample(np.nan, np.float16, (99, 3), (5, 2)), 16_000), "finite", "nan at sample 5, channel 2", "nan_to",
    ),
    "NaN in a late block": (
        (with_sample(np.nan, shape=(500_000,), where=432_100), 44_100), "finite", "sample 432100 of", "np.nan_to_num",
    ),
    "the first": ((np.array([[0, 5], [0, 99], [np.nan, 0]]), 16_000), "[-1, 1]", "99 at sample 1, channel 1", "x /"),
    "integer scale": ((with_sample(-32_768.0), 16_000), "must lie in [-1, 1]", "got -32768 at sample 7", "x / 32768"),
    "too long": ((np.zeros(16_000), 16_000, 0.5), "at most 0.5 s", "got 1.0 s", "raise max_seconds"),
    "a list": (([0.0, 0.1], 16_000), "a path, bytes, a binary file object or a N", "got list", "np.asarray(x)"),
    "nothing": ((None,), "must be a path, bytes", "got NoneType", "np.asarray(x)"),
    "a number for a path": ((3,), "must be a path, bytes", "got int", "np.asarray(x)"),
}  # fmt: skip

FILES = {
    "0 bytes": ((b"",), "must hold sound", "got 0 bytes", "download"),
    "text": ((b"to whom it may concern\n" * 9,), "must be wav, flac", "not recognised", "ffmpeg -i in.m4a out.wav"),
    "m4a": ((b"\0\0\0\x20ftypM4A " + bytes(999),), "must be wav, flac", "not recognised", "ffmpeg -i in.m4a"),
    "a header only": ((wav(b""),), "at least one sample", "got 0 at 16000 Hz", "not empty"),
    "half a header": ((wav()[:30],), "must be wav, flac", "got: ", "ffmpeg"),
    "10,000 channels": ((wav(bytes(20_000), channels=10_000),), "with a sound header", "Too many channels", "ffmpeg"),
    "1,000 channels": ((wav(b"", channels=1_000),), "1 to 64 channels", "got 1000", "ffmpeg -ac 1"),
    "no channels": ((wav(channels=0),), "with a sound header", "Channel count is zero", "ffmpeg"),
    "rate of 10 Hz": ((wav(rate=10),), "must have 1000 to 768000 hertz", "got 10", "Correct the header"),
    "rate of 2 GHz": ((wav(rate=2_000_000_000),), "1000 to 768000 hertz", "got 2000000000", "as an array"),
    "rate that differs": ((wav(rate=8_000), 16_000), "8000 Hz", "got 16000", "Leave it out"),
    "too long": ((wav(bytes(64_000)), None, 1.5), "at most 1.5 s", "got 2.0 s", "raise max_seconds"),
    "claims years": ((flac_claiming(SILENCE, 2**36 - 1),), "at most 86400 s", "got 4294967.3 s", "raise max_seconds"),
    "longer than it says": ((flac_claiming(np.zeros(80_000), 0), None, 2), "at most 2 s", "got ", "raise max_seconds"),
    "cut FLAC": ((FLAC[: len(FLAC) // 2],), "hold the 5.00 s it claims", "got 2.30 s before", "Fetch it again"),
    "FLAC but for a byte": ((FLAC[:-1],), "hold the 5.00 s it claims", "got 4.86 s before", "ffmpeg"),
    "cut FLAC of unknown length": (
        (flac_claiming(noise(80_000), 0)[:50_000],), "hold all its frames", "got 1.54 s", "Fetch it again",
    ),
    "FLAC with a hole": ((FLAC[:60_000] + bytes(500) + FLAC[60_500:],), "hold the 5.00 s", "damaged", "Fetch it again"),
    "MP3 with a hole": ((MP3[:9_000] + bytes(3000) + MP3[12_000:],), "hold the 5.00 s", "damaged", "Fetch it again"),
    "Ogg with a hole": ((OGG[:13_000] + bytes(500) + OGG[13_500:],), "hold the 5.00 s", "damaged", "Fetch it again"),
    "MP3 whose length is guessed too short": (
        (mp3_without_length(np.concatenate([noise(16_000), np.zeros(200_000)]), bitrate_mode="VARIABLE"),),
        "its whole length in a Xing header", "stopped after", "ffmpeg -i in.mp3 -c copy out.mp3",
    ),
    "NaN in a late block": (
        (encode(with_sample(np.nan, np.float32, (500_000, 2), (432_100, 1)), 44_100, subtype="FLOAT"),),
        "must be finite", "sample 432100, channel 1", "np.nan_to_num",
    ),
    "integer scale": ((encode(with_sample(20_000.0), subtype="DOUBLE"),), "[-1, 1]", "got 20000 at sample 7", "x /"),
    "a text file object": ((io.StringIO("RIFF"),), "must give bytes", "got text", 'mode "rb"'),
    "an empty pipe": ((Pipe(b""),), "must hold sound", "got 0 bytes", "download"),
}  # fmt: skip


def check(sound, sample_rate=None, max_seconds=audio.MAX_SECONDS, *, parts):
    with pytest.raises(AudioError) as caught:
        audio.read(sound, sample_rate, max_seconds=max_seconds)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert message.endswith(".")


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays(case):
    arguments, *parts = ARRAYS[case]
    check(*arguments, parts=parts)


@pytest.mark.parametrize("case", FILES)
def test_files(case, tmp_path):
    arguments, *parts = FILES[case]
    check(*arguments, parts=parts)
    if isinstance(arguments[0], bytes):  # the same under a name, which the message repeats
        path = tmp_path / "clip.wav"
        path.write_bytes(arguments[0])
        check(path, *arguments[1:], parts=[*parts, "clip.wav'"])


@pytest.mark.parametrize(
    ("path", "error", "parts"),
    [
        ("missing.wav", AudioNotFoundError, ("must lead to a file", "missing.wav'", "Check the spelling")),
        ("missing/clip.wav", AudioNotFoundError, ("must lead to a file", "clip.wav'", "Check the spelling")),
        ("", AudioError, ("must lead to a file", "That is a folder", "trill embed FOLDER")),
        ("clip.wav/clip.wav", AudioError, ("must lead to a file", "clip.wav'", "Check the path")),
        ("null\0byte.wav", AudioError, ("must lead to a file", "byte.wav'", "Check the path")),
        ("n" * 300, AudioError, ("must lead to a file", "nnn'", "Check the path")),
        ("headless.raw", AudioError, ("with a sound header", "headless.raw'", "ffmpeg")),
    ],
)
def test_paths(path, error, parts, tmp_path):
    (tmp_path / "clip.wav").write_bytes(wav())
    (tmp_path / "headless.raw").write_bytes(bytes(1000))
    with pytest.raises(error) as caught:
        audio.read(str(tmp_path / path))
    message = str(caught.value)
    assert all(part in message for part in parts), message


def test_an_error_can_be_caught_as_pythons_own():
    with pytest.raises(FileNotFoundError):
        audio.read("no such file")
    with pytest.raises(ValueError, match="at least one sample"):
        audio.read(np.zeros(0), 16_000)


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "clip.wav"
    path.write_bytes(wav())
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read anything
        monkeypatch.setattr("builtins.open", no_file)
    with pytest.raises(AudioError, match=r"clip.wav'\. Permission denied\. Make it readable"):
        audio.read(path)


def test_closed_and_write_only_file_objects(tmp_path):
    closed = io.BytesIO(wav())
    closed.close()
    with (tmp_path / "new.wav").open("wb") as write_only:
        for file in (closed, write_only):
            with pytest.raises(AudioError, match=r"must be open for reading, got: .*\. Open it again\."):
                audio.read(file)


def test_a_pipe_is_read_up_to_a_cap(monkeypatch):
    monkeypatch.setattr(audio, "MAX_STREAM_BYTES", 10_000)
    with pytest.raises(AudioError, match=r"at most 10000 bytes, got more\. Write it to a file"):
        audio.read(Pipe(bytes(10_001)))


@pytest.mark.parametrize(
    "options",
    [
        {"target_rate": 0},
        {"target_rate": 1.5e4 + 0.1},
        {"max_seconds": 0},
        {"max_seconds": float("nan")},
        {"block_seconds": 0},
        {"block_seconds": -1},
    ],
)
def test_arguments_out_of_range(options):
    with pytest.raises(ValueError, match=r"must be positive.*, got .*\. ") as caught:
        next(audio.blocks(SILENCE, 16_000, **options))
    assert not isinstance(caught.value, AudioError)


def test_a_header_is_not_believed_with_memory(monkeypatch):
    """64 channels at 768 kHz that claim a day: blocks stay small, whatever the header says."""
    asked = []
    read = audio.soundfile.SoundFile.read
    monkeypatch.setattr(
        audio.soundfile.SoundFile,
        "read",
        lambda self, size, **options: asked.append(size) or read(self, size, **options),
    )
    audio.read(wav(bytes(128 * 480), channels=64, rate=768_000, claimed_bytes=2**32 - 1))
    assert max(asked) <= audio.MAX_BLOCK_VALUES // 64


def test_what_was_good_is_given_before_the_damage():
    pieces = audio.blocks(FLAC[: len(FLAC) // 2], block_seconds=1)
    assert len(next(pieces)) == 16_000
    with pytest.raises(AudioError, match=r"got 2\.\d+ s"):
        list(pieces)
