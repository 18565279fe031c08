"""A task's corpus from TensorFlow Datasets, by a module with as much of its interface as is used."""

import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner

from noss.cli import main
from noss.tasks import CorpusError, load
from trill import audio
from trill.errors import MissingPackageError

CLASSES = ["NEU", "HAP", "SAD"]


def clip(number, speaker):
    """Louder where it is happier."""
    label = number % 3
    sound = np.random.default_rng([number, speaker]).normal(0, 800 * (1 + 2 * label), 4_000).astype(np.int64)
    return {"audio": sound, "label": label, "speaker_id": f"10{speaker:02d}".encode()}


EXAMPLES = {
    "train": [clip(number, speaker) for speaker in range(4) for number in range(9)],
    "validation": [clip(number, 4) for number in range(9)],
    "test": [clip(number, speaker) for speaker in (5, 6) for number in range(9)],
}


@pytest.fixture
def tfds(tmp_path, monkeypatch):
    """What is read is counted; `examples` can be changed."""
    module = types.SimpleNamespace(read=[], examples=EXAMPLES, audio=types.SimpleNamespace(sample_rate=8_000))

    def builder(name, data_dir):
        if data_dir != str(tmp_path):
            raise ValueError(f"Dataset {name} not found.\nAvailable: none")

        def as_dataset(split, shuffle_files, read_config):
            assert not shuffle_files
            module.read.append(split)
            return module.examples[split]

        features = {"audio": module.audio, "label": types.SimpleNamespace(int2str=CLASSES.__getitem__)}
        splits = {name: types.SimpleNamespace(num_examples=len(part)) for name, part in module.examples.items()}
        features["speaker_id"] = None
        info = types.SimpleNamespace(full_name="crema_d/1.0.0", features=features, splits=splits)
        return types.SimpleNamespace(info=info, as_dataset=as_dataset)

    module.builder, module.as_numpy, module.ReadConfig = builder, iter, lambda interleave_cycle_length: None
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return module


def test_clips_labels_and_speakers_are_those_of_the_data_set(tfds, tmp_path):
    found = load("crema_d", f"tfds:crema_d@{tmp_path}")
    held = [(example, split) for split, part in EXAMPLES.items() for example in part]
    assert len(found) == len(held) == 63
    for utterance, (example, split) in zip(found, held, strict=True):
        assert utterance.label == CLASSES[example["label"]]
        assert utterance.speaker == example["speaker_id"].decode()
        assert utterance.split == {"validation": "dev"}.get(split, split)
        kept = audio.read(utterance.path, target_rate=8_000)
        np.testing.assert_allclose(kept, example["audio"] / 2**15, atol=1e-6)


def test_they_are_written_once_and_go_on_where_they_stopped(tfds, tmp_path):
    source = f"tfds:crema_d@{tmp_path}"
    tfds.examples = {**EXAMPLES, "test": [*EXAMPLES["test"][:3], {"audio": np.zeros((2, 2)), "label": 0}]}
    with pytest.raises(ValueError, match="written from one channel"):
        load("crema_d", source)
    written = sorted((tmp_path / "noss-clips").rglob("*.wav"))
    assert len(written) == 48
    stamps = [path.stat().st_mtime_ns for path in written]
    tfds.examples = EXAMPLES
    first = load("crema_d", source)
    assert [path.stat().st_mtime_ns for path in written] == stamps
    tfds.read.clear()
    assert load("crema_d", source) == first
    assert tfds.read == []


def test_a_run_from_the_command_line(tfds, tmp_path):
    arguments = ["run", "--task", "crema_d", "--corpus", f"tfds:crema_d@{tmp_path}", "-r", "noss.demo:loudness"]
    done = CliRunner().invoke(main, [*arguments, "--protocol", "referee", "-o", str(tmp_path / "results"), "-q"])
    assert done.exit_code == 0, done.output
    assert "accuracy 0.9" in done.output or "accuracy 1.0" in done.output


@pytest.mark.parametrize(
    ("task", "source", "message"),
    [
        ("crema_d", "tfds:savee@{}", r"crema_d is read from tfds:crema_d@DATA_DIR, got tfds:savee@"),
        ("crema_d", "tfds:crema_d", r"tfds:crema_d@DATA_DIR, got tfds:crema_d\. Builders: crema_d, savee"),
        ("speech_commands", "tfds:speech_commands@{}", "speech_commands is read from its unpacked folder"),
        ("crema_d", "tfds:crema_d@/nowhere", r"got: Dataset crema_d not found\.\. Prepare it: tfds build crema_d "),
    ],
)
def test_a_source_that_cannot_be_is_refused(tfds, tmp_path, task, source, message):
    with pytest.raises(CorpusError, match=message):
        load(task, source.format(tmp_path))


def test_a_data_set_without_splits_or_rate_is_refused(tfds, tmp_path):
    tfds.audio.sample_rate = None
    with pytest.raises(CorpusError, match="needs the features audio, with a sample_rate"):
        load("crema_d", f"tfds:crema_d@{tmp_path}")
    tfds.examples = {}
    with pytest.raises(CorpusError, match="it has no splits"):
        load("crema_d", f"tfds:crema_d@{tmp_path}")


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'trill-speech\[tfds\]'"):
        load("crema_d", f"tfds:crema_d@{tmp_path}")
