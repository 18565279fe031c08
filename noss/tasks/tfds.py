"""Corpora as TensorFlow Datasets prepared them: their samples, written once as files, and their labels.

What they hand out is decoded sound without file names, so that readers of folders do not apply: labels and speakers are
those of the data set's features, and samples are written as WAV files, which embeddings know by content as any other.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from noss.tasks.manifest import SPLIT_WORDS
from noss.tasks.task import CorpusError, Task, Utterance
from noss.wav import write_wav
from trill.errors import optional
from trill.files import write_atomically
from trill.progress import progress

PREFIX = "tfds:"
CLIPS = "noss-clips"  # below the data directory
# Builder -> feature that says who speaks; all have `audio` and the class `label`. Others have not what their task asks.
SPEAKERS = {"crema_d": "speaker_id", "savee": "speaker_id", "dementiabank": "speaker_id", "voxforge": "speaker_id"}


def read_tfds(task: Task, source: str) -> list[Utterance]:
    """The utterances of a task from a data set that `tfds build` prepared. Nothing is downloaded.

    The first call writes each clip below DATA_DIR/noss-clips, and a list of them last; a later one reads that list.

    Args:
        task: of a corpus with a builder in `SPEAKERS`.
        source: `tfds:BUILDER@DATA_DIR`, or `tfds:BUILDER:VERSION@DATA_DIR`.

    Raises:
        CorpusError: if the builder is not that of the task, or the data set is not prepared or lacks a feature.
        MissingPackageError: without the package tensorflow-datasets.
        OSError: if the folder takes no files.
    """
    name, _, data_dir = source.removeprefix(PREFIX).partition("@")
    known = task.corpus.tfds
    if known not in SPEAKERS or name.partition(":")[0] != known or not data_dir:
        wanted = f"{PREFIX}{known}@DATA_DIR" if known in SPEAKERS else "its unpacked folder"
        raise CorpusError(f"{task.name} is read from {wanted}, got {source}. Builders: {', '.join(SPEAKERS)}.")
    builder = _prepared(name, data_dir)
    folder = Path(data_dir) / CLIPS / builder.info.full_name
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        _write(builder, SPEAKERS[known], folder)
    with manifest.open(encoding="utf-8", newline="") as file:
        return [
            Utterance(folder / row["path"], row["path"], row["label"], row["speaker"], SPLIT_WORDS.get(row["split"]))
            for row in csv.DictReader(file)
        ]


def _prepared(name: str, data_dir: str) -> Any:
    tfds = optional("tensorflow_datasets", "tfds")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        splits, features = dict(builder.info.splits), builder.info.features
    except (ValueError, KeyError, OSError) as error:
        raise CorpusError(_unprepared(name, data_dir, str(error).partition("\n")[0])) from error
    if not splits:
        raise CorpusError(_unprepared(name, data_dir, "it has no splits"))
    speaker = SPEAKERS[name.partition(":")[0]]
    if {"audio", "label", speaker} - set(features) or getattr(features["audio"], "sample_rate", None) is None:
        raise CorpusError(
            f"a data set needs the features audio, with a sample_rate, label and {speaker}, "
            f"{name} has {', '.join(features)}. Prepare a newer version."
        )
    return builder


def _unprepared(name: str, data_dir: str, reason: str) -> str:
    return (
        f"{PREFIX}{name}@{data_dir} must be a prepared data set, got: {reason}. "
        f"Prepare it: tfds build {name.partition(':')[0]} --data_dir {data_dir}"
    )


def _write(builder: Any, speaker: str, folder: Path) -> None:
    """Each clip as a file, unless it is there, and the list of all."""
    tfds = optional("tensorflow_datasets", "tfds")
    features = builder.info.features
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(["path", "label", "speaker", "split"])
    for split, about in builder.info.splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        in_order = tfds.ReadConfig(interleave_cycle_length=1)
        examples = builder.as_dataset(split=split, shuffle_files=False, read_config=in_order)
        with progress(tfds.as_numpy(examples), total=about.num_examples, unit=f"clips of {split} written") as bar:
            for number, example in enumerate(bar):
                path = f"{split}/{number:06d}.wav"
                if not (folder / path).exists():
                    write_wav(folder / path, np.asarray(example["audio"]), int(features["audio"].sample_rate))
                who = example[speaker]
                label = features["label"].int2str(int(example["label"]))
                table.writerow([path, label, who.decode() if isinstance(who, bytes) else str(who), split])
    with write_atomically(folder / "manifest.csv") as temporary:
        temporary.write_text(rows.getvalue(), encoding="utf-8")
