"""What a fine-tuning learns from: labelled clips, decoded and split; and the network that learns."""

import dataclasses
import hashlib
import importlib.resources
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from trill import files, presets
from trill.errors import ModelError
from trill.networks import saving
from trill.networks.saving import NetworkConfig
from trill.training import corpora
from trill.training.cache import Cache, open_cache
from trill.training.finetuning import labelled, splits, windowed
from trill.training.finetuning.labelled import Labelled
from trill.training.finetuning.splits import Split


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """Labelled clips, decoded and split; what a network makes of them is in `features`."""

    labelled: Labelled
    clips: windowed.Clips
    split: Split
    failed: dict[str, str]
    fingerprints: dict[str, str]

    def truth(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """By head, what the clips are."""
        return {name: column[rows] for name, column in self.labelled.values.items()}


def read(
    manifest: str | os.PathLike[str],
    labels: Sequence[str],
    model: str | os.PathLike[str],
    seed: int,
    *,
    by_clip: bool,
    cache: str | os.PathLike[str] | None,
    quiet: bool,
    split: Callable[[Labelled, int], Split] = splits.by_speaker,
) -> tuple[Material, keras.Model, NetworkConfig]:
    """What is learnt from, and the network that learns. What may be wrong at little cost is looked at first."""
    table = labelled.read(manifest, labels, by_clip=by_clip)
    weights = weights_of(model)
    network, config = saving.load(weights)
    if taken := [head.name for head in table.heads if head.name in {*network.output, "attention"}]:
        raise ValueError(f"the network has an output {taken[0]!r} already. Give the manifest's column another name.")
    path = labelled.manifest_of(manifest)
    corpus = corpora.open_corpus(path)
    decoded: Cache = open_cache(corpus, cache, config.frontend.sample_rate, quiet=quiet)
    clips, numbers = labelled.placed(table, decoded, str(path))
    parts = split(clips, seed)
    clips = dataclasses.replace(clips, heads=tuple(_standardised(head, clips, parts.train) for head in clips.heads))
    known = json.dumps([clips.names, clips.speakers.tolist(), [clips.values[h.name].tolist() for h in clips.heads]])
    fingerprints = {
        "corpus": decoded.content,
        "labels": hashlib.sha256(known.encode()).hexdigest(),
        "model": files.sha256(weights),
    }
    failed = {name: why for name, why in decoded.failed.items() if name in table.names}
    cut = windowed.Clips(decoded, numbers, config.frontend)
    named = dataclasses.replace(
        config,
        name=f"{config.name}-{'-'.join(head.name for head in clips.heads)}",
        description=f"{config.description}, fine-tuned".removeprefix(", "),
    )
    return Material(clips, cut, parts, failed, fingerprints), network, named


def _standardised(head: labelled.Head, clips: Labelled, train: np.ndarray) -> labelled.Head:
    if not head.numeric:
        return head
    values = clips.values[head.name][train]
    spread = float(np.nanstd(values))
    return dataclasses.replace(head, center=float(np.nanmean(values)), spread=spread if spread > 1e-6 else 1.0)


def weights_of(model: str | os.PathLike[str]) -> Path:
    """The path of a network that can be trained.

    Raises:
        ModelError: if it is a packaged or exported file, which holds constants.
    """
    path = Path(model)
    if isinstance(model, str) and model in presets.presets():
        stem = Path(str(presets.locate(model))).stem
        source = importlib.resources.files("trill.recipes") / "weights" / f"{stem}.safetensors"
        if source.is_file():
            return Path(str(source))
        raise ModelError(
            f"the packaged {model} is a .tflite, whose weights are constants. Those that can be trained are in the "
            f"repository, recipes/weights/{stem}.safetensors: pass --model PATH."
        )
    if path.suffix == ".tflite":
        raise ModelError(
            f"the weights of a .tflite are constants and cannot be trained, got {path}. Pass the .safetensors that it "
            "was exported from, e.g. recipes/weights/mobilenet-4.safetensors in a checkout."
        )
    return path
