"""Each source against its sounds read one by one, and what it says of what is no source."""

import gzip
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.sounds import encode, noise
from trill import audio
from trill.errors import AudioError, MissingPackageError
from trill.training.corpora import open_corpus

FILES = {"b.wav": 0, "a.flac": 1, "deep/er/ü c.ogg": 2}


@pytest.fixture
def folder(tmp_path):
    """Three sounds, not in the order of the alphabet, and what is none."""
    for name, seed in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode(noise(800, seed), 8000, Path(name).suffix[1:].upper()))
    (tmp_path / "notes.txt").write_text("no sound")
    return tmp_path


def sounds_of(source, skip=0, rate=16_000):
    return list(open_corpus(source).read(skip, rate))


def names_of(source, skip=0):
    return [name for name, _ in sounds_of(source, skip)]


def write_manifest(path, files):
    path.write_text("path,label\n" + "".join(f"{file},x\n" for file in files), encoding="utf-8")
    return path


# Files.


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_folder_is_its_sounds_in_order(folder, rate):
    corpus = open_corpus(folder)
    assert corpus.total == 3
    found = list(corpus.read(0, rate))
    assert [name for name, _ in found] == [str(folder / name) for name in sorted(FILES)]
    for name, waveform in found:
        np.testing.assert_array_equal(waveform, audio.read(name, target_rate=rate))


def test_a_file_is_a_corpus(folder):
    for source in (folder / "b.wav", str(folder / "b.wav")):
        assert names_of(source) == [str(folder / "b.wav")]


def test_a_manifest_has_its_own_order_and_names(folder):
    files = ["deep/er/ü c.ogg", "b.wav"]
    found = sounds_of(write_manifest(folder / "some.csv", files))
    assert [name for name, _ in found] == files
    np.testing.assert_array_equal(found[1][1], audio.read(folder / "b.wav"))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_it_may_begin_anywhere(folder, threads):
    files = [f"{number}.wav" for number in range(40)]
    for number, name in enumerate(files):
        (folder / name).write_bytes(encode(np.full(100 + number, 0.1)))
    corpus = open_corpus(write_manifest(folder / "many.csv", files), threads)
    for skip in (0, 1, 17, 39, 40):
        assert [len(waveform) - 100 for _, waveform in corpus.read(skip, 16_000)] == list(range(40))[skip:]


def test_a_bad_file_costs_only_itself(folder):
    (folder / "a1.wav").write_bytes(b"This is no sound.")
    (folder / "a2.wav").write_bytes(b"")
    files = ["a.flac", "a1.wav", "a2.wav", "gone.wav", "b.wav"]
    reasons = ["", "must be wav, flac", "must hold sound, got 0 bytes", "must lead to a file", ""]
    found = sounds_of(write_manifest(folder / "some.csv", files))
    for (name, waveform), file, reason in zip(found, files, reasons, strict=True):
        assert name == file
        if reason:
            assert reason in waveform
        else:
            np.testing.assert_array_equal(waveform, audio.read(folder / file))


@pytest.mark.parametrize("source", ["gone", "gone.wav", "gone.tfrecord", "all_gone.csv"])
def test_nothing_is_refused(tmp_path, source):
    write_manifest(tmp_path / "all_gone.csv", ["gone.wav", "lost.wav"])
    missing = "gone.wav" if source == "all_gone.csv" else source
    message = rf"a corpus is a folder of sound, .* tfds:NAME, there is no {tmp_path}/{missing}\."
    with pytest.raises(ValueError, match=message):
        open_corpus(tmp_path / source)


def test_an_empty_folder_and_a_manifest_that_is_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a folder must hold sound files"):
        open_corpus(tmp_path)
    with pytest.raises(ValueError, match="a manifest must be a CSV file"):
        open_corpus(tmp_path / "gone.csv")


def test_a_rate_that_cannot_be_is_no_fault_of_the_sounds(folder):
    with pytest.raises(ValueError, match="target_rate must be positive"):
        sounds_of(folder, rate=0)


# The fingerprint.


@pytest.mark.parametrize("change", ["add", "remove", "rename", "size", "time"])
def test_the_fingerprint_changes_with_the_sounds(folder, change):
    before, file = open_corpus(folder).fingerprint, folder / "b.wav"
    assert open_corpus(folder).fingerprint == before
    match change:
        case "add":
            (folder / "z.wav").write_bytes(file.read_bytes())
        case "remove":
            file.unlink()
        case "rename":
            file.rename(folder / "c.wav")
        case "size":
            status = file.stat()
            file.write_bytes(file.read_bytes()[:-2])
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "time":
            os.utime(file, (1, 1))
    assert open_corpus(folder).fingerprint != before


def test_the_fingerprint_is_the_same_from_another_folder(folder, monkeypatch):
    fingerprints = {open_corpus(folder).fingerprint}
    for where, source in ((folder, "."), (folder.parent, folder.name), (folder / "deep", "..")):
        monkeypatch.chdir(where)
        fingerprints.add(open_corpus(source).fingerprint)
    assert len(fingerprints) == 1


def test_the_fingerprint_knows_the_order(folder):
    """A cache is resumed by counting: another order is another corpus."""
    there = write_manifest(folder / "1.csv", ["a.flac", "b.wav"])
    back = write_manifest(folder / "2.csv", ["b.wav", "a.flac"])
    assert open_corpus(there).fingerprint != open_corpus(back).fingerprint


# TFRecords.


def write_records(path, *records):
    """`tf.train.Example`s of `{name: values}`."""
    import tensorflow as tf

    kinds = {bytes: ("bytes_list", tf.train.BytesList), int: ("int64_list", tf.train.Int64List)}
    kinds[float] = ("float_list", tf.train.FloatList)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            features = {}
            for name, values in record.items():
                values = [values] if isinstance(values, bytes | int | float) else list(values)
                kind, of_kind = kinds[type(values[0])] if values else ("bytes_list", tf.train.BytesList)
                features[name] = tf.train.Feature(**{kind: of_kind(value=values)})
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


SAMPLES = noise(400).astype(np.float32)
PCM = np.rint(SAMPLES * 32_768).astype(np.int16)
PCM[:2] = -32_768, 32_767


def test_a_record_is_an_encoded_file_or_samples(tmp_path):
    flac = encode(SAMPLES, 8000, "FLAC")
    records = write_records(
        tmp_path / "some.tfrecord",
        {"audio": flac, "id": b"\xc3\xbc"},
        {"audio": flac, "sample_rate": 8000, "label": [1, 2], "id": 3},
        {"audio": SAMPLES.tolist(), "sample_rate": 8000, "id": b"\xff"},
        {"audio": PCM.tolist(), "sample_rate": 8000, "id": []},
        {"audio": PCM.tolist(), "sample_rate": 8000.0},
    )
    found = sounds_of(records)
    assert [name for name, _ in found] == ["ü", f"{records}#1", "\ufffd", f"{records}#3", f"{records}#4"]
    expected = [flac, flac, SAMPLES, PCM, PCM]
    for (_, waveform), held in zip(found, expected, strict=True):
        np.testing.assert_array_equal(waveform, audio.read(held, 8000))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"speech": b"x", "label": 1},
            r"values in its feature `audio`, got the features (speech, label|label, speech)\. Write",
        ),
        ({"audio": [], "label": 1}, r"values in its feature `audio`"),
        ({}, r"values in its feature `audio`"),
        ({"audio": b"no sound"}, r"must be wav, flac"),
        ({"audio": b""}, r"got 0 bytes"),
        ({"audio": encode(SAMPLES, 8000), "sample_rate": 16_000}, r"must be that of the header, 8000 Hz .*got 16000"),
        ({"audio": PCM.tolist()}, r"sample_rate must be given with an array, got None"),
        ({"audio": PCM.tolist(), "sample_rate": -5}, r"sample_rate must be positive, .*got -5"),
        ({"audio": PCM.tolist(), "sample_rate": b"8000"}, r"sample_rate must be positive, .*got b'8000'"),
        ({"audio": [0, 32_768], "sample_rate": 8000}, r"integer samples must have 16 bits, .* got 0 to 32768"),
        ({"audio": [0, -32_769], "sample_rate": 8000}, r"must have 16 bits, -32768 to 32767, got -32769 to 0"),
        ({"audio": [0.0, -32_768.0], "sample_rate": 8000}, r"float samples must lie in \[-1, 1\]"),
        ({"audio": [0.0, float("nan")], "sample_rate": 8000}, r"must be finite"),
    ],
)
def test_a_bad_record_costs_only_itself(tmp_path, record, reason):
    good = {"audio": PCM.tolist(), "sample_rate": 16_000}
    (_, before), (_, told), (_, after) = sounds_of(write_records(tmp_path / "x.tfrecords", good, record, good))
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(told)
    np.testing.assert_array_equal(before, after)


def test_a_folder_of_shards_is_read_in_order(tmp_path):
    numbers = iter(range(100))
    for shard in (1, 0, 2):
        record = lambda: {"audio": PCM.tolist(), "sample_rate": 16_000, "id": str(next(numbers)).encode()}  # noqa: E731
        write_records(tmp_path / f"x.tfrecord-{shard:05d}-of-00003", *[record() for _ in range(3)])
    (tmp_path / ".x.tfrecord-00000-of-00003.part").write_bytes(b"half a download")
    (tmp_path / "y.tfrecord.d").mkdir()
    assert names_of(tmp_path) == list("345012678")
    assert names_of(tmp_path, skip=4) == list("12678")
    before = open_corpus(tmp_path)
    assert before.total is None
    write_records(tmp_path / "x.tfrecord-00001-of-00003", record())
    assert open_corpus(tmp_path).fingerprint != before.fingerprint


def test_records_may_be_packed(tmp_path):
    plain = write_records(tmp_path / "x.tfrecord", {"audio": PCM.tolist(), "sample_rate": 16_000})
    (tmp_path / "x.tfrecord.gz").write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(sounds_of(tmp_path / "x.tfrecord.gz")[0][1], sounds_of(plain)[0][1])


@pytest.mark.parametrize(
    ("name", "damage", "whole"),
    [
        ("x.tfrecord", lambda data: data[:-20], 2),
        ("x.tfrecord", lambda data: data[:50] + b"\0\0\0" + data[53:], 0),
        ("x.tfrecord", lambda data: b"This is no record, but quite long a text.", 0),
        ("x.tfrecord.gz", lambda data: data, 0),
    ],
)
def test_damaged_records_are_an_error(tmp_path, name, damage, whole):
    data = write_records(tmp_path / "good", *[{"audio": PCM.tolist(), "sample_rate": 16_000}] * 3).read_bytes()
    (tmp_path / name).write_bytes(damage(data))
    message = rf"records must be whole, .*{name} is cut short or damaged after {whole} of them: .*fetch it again"
    with pytest.raises(AudioError, match=message):
        sounds_of(tmp_path / name)


def test_records_of_something_else_are_an_error(tmp_path):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "x.tfrecord")) as writer:
        writer.write(bytes(100))
    with pytest.raises(AudioError, match=r"damaged after 0 of them: .*Error parsing message"):
        sounds_of(tmp_path / "x.tfrecord")


# TensorFlow Datasets.


class Splits(dict):
    def __missing__(self, key):
        raise ValueError(f"Unknown split {key!r}. Should be one of {list(self)}.")


class Unprepared(dict):
    def __missing__(self, key):
        raise KeyError("`splits` is empty.")


@pytest.fixture
def tfds(tmp_path, monkeypatch):
    """A module with as much of the interface of `tensorflow_datasets` 4.9 as is used, and three data sets."""
    file = tmp_path / "tiny-train.tfrecord-00000-of-00001"
    file.touch()
    examples = [
        {"audio": PCM.astype(np.int64)},
        {"audio": PCM[:, None].repeat(2, axis=1)},
        {"audio": SAMPLES},
        {"audio": PCM.astype(np.int64) * 256},
    ]
    known = {"train": examples, "train[:2]": examples[:2]}
    splits = {name: types.SimpleNamespace(num_examples=len(part), filepaths=[file]) for name, part in known.items()}

    def builder(name):
        if name not in ("tiny", "tiny:1.2.3", "unprepared", "images", "rateless"):
            raise ValueError(f"Dataset {name} not found.\nAvailable datasets:\n\t- abstract_reasoning")
        feature = types.SimpleNamespace(sample_rate=None if name == "rateless" else 8000)
        return types.SimpleNamespace(
            info=types.SimpleNamespace(
                full_name="tiny/1.2.3",
                features={"image" if name == "images" else "audio": feature, "label": None},
                splits=Unprepared() if name == "unprepared" else Splits(splits),
            ),
            as_dataset=lambda split, shuffle_files, read_config: known[split],
        )

    module = types.SimpleNamespace(builder=builder, as_numpy=iter, ReadConfig=lambda interleave_cycle_length: None)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return file


@pytest.mark.usefixtures("tfds")
def test_a_data_set_is_its_feature_audio():
    corpus = open_corpus("tfds:tiny")
    assert corpus.total == 4
    found = list(corpus.read(0, 16_000))
    assert [name for name, _ in found] == [f"tiny@train#{number}" for number in range(4)]
    for (_, waveform), held in zip(found[:3], [PCM, PCM, SAMPLES], strict=True):
        np.testing.assert_allclose(waveform, audio.read(held, 8000), atol=1e-6)
    assert "integer samples must have 16 bits" in found[3][1]
    assert names_of("tfds:tiny:1.2.3@train[:2]", skip=1) == ["tiny:1.2.3@train[:2]#1"]


def test_the_fingerprint_knows_split_and_files_of_a_data_set(tfds):
    fingerprints = [open_corpus(f"tfds:tiny{split}").fingerprint for split in ("", "@train", "@train[:2]")]
    tfds.write_text("prepared anew")
    fingerprints.append(open_corpus("tfds:tiny").fingerprint)
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints)) == 3


@pytest.mark.usefixtures("tfds")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no_such",
            r"tfds:no_such must be a prepared data set, got: Dataset no_such not found\. Prepare .*build no_such`",
        ),
        ("tiny@dev", r"tfds:tiny@dev .*got: Unknown split 'dev'\. Should be one of \['train', .* set TFDS_DATA_DIR"),
        ("unprepared", r"got: `splits` is empty\. Prepare it with `tfds build unprepared`"),
        ("images", r"needs a feature `audio` that knows its sample_rate, images has image, label"),
        ("rateless", r"needs a feature `audio` that knows its sample_rate, rateless has audio, label"),
    ],
)
def test_a_data_set_that_cannot_be_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        open_corpus(f"tfds:{name}")


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'trill-speech\[tfds\]'"):
        open_corpus("tfds:tiny")
    (tmp_path / "x.tfrecord").touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    corpus = open_corpus(tmp_path / "x.tfrecord")
    with pytest.raises(MissingPackageError, match=r"pip install 'trill-speech\[train\]'"):
        next(corpus.read(0, 16_000))


READ = """
import json, sys
from trill.training.corpora import open_corpus
for source in sys.argv[1:]:
    try:
        corpus = open_corpus(source)
        sounds = [(name, list(map(float, waveform))) for name, waveform in corpus.read(1, 16_000)]
        print(json.dumps([corpus.total, sounds]))
    except ValueError as error:
        print(json.dumps(str(error)))
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_data_set_on_disk(tmp_path):
    """The real package, a data set in two shards that no code stands behind."""
    tfds = pytest.importorskip("tensorflow_datasets")
    import tensorflow as tf

    features = tfds.features.FeaturesDict({"audio": tfds.features.Audio(sample_rate=16_000)})
    folder = tmp_path / "tiny_speech" / "1.2.3"
    folder.mkdir(parents=True)
    clips = [PCM[: 100 + number].astype(np.int64) for number in range(5)]
    for shard, part in enumerate((clips[:3], clips[3:])):
        path = folder / f"tiny_speech-train.tfrecord-{shard:05d}-of-00002"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for clip in part:
                writer.write(features.serialize_example(features.encode_example({"audio": clip})))
    template = tfds.core.ShardedFileTemplate(data_dir=folder, dataset_name="tiny_speech", filetype_suffix="tfrecord")
    train = tfds.core.SplitInfo(name="train", shard_lengths=[3, 2], num_bytes=0)
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=features, split_infos=[train], filename_template=template
    )

    good = ["tfds:tiny_speech", "tfds:tiny_speech:1.2.3@train", "tfds:tiny_speech@train[:40%]"]
    bad = ["tfds:tiny_speech@dev", "tfds:no_such", "tfds:speech_commands"]
    command = [sys.executable, "-c", READ, *good, *bad]
    env = os.environ | {"TFDS_DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [total for total, _ in told[:3]] == [5, 5, 2]
    for (_, sounds), source in zip(told[:3], good, strict=True):
        for number, (name, waveform) in enumerate(sounds, 1):
            assert name == f"{source[5:].partition('@')[0]}@{source.partition('@')[2] or 'train'}#{number}"
            assert waveform == audio.read(clips[number].astype(np.int16), 16_000).tolist()
    assert [len(sounds) for _, sounds in told[:3]] == [4, 4, 1]
    assert "Unknown split 'dev'" in told[3]
    assert "Dataset no_such not found. Prepare it with `tfds build no_such`" in told[4]
    assert "has not been generated yet" in told[5]
