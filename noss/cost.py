"""What a representation costs: size, arithmetic, time. The other axis of every comparison."""

import contextlib
import json
import time
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from noss.tasks.task import Utterance
from trill import audio, modelfile
from trill.embedder import Embedder
from trill.errors import AudioError, optional
from trill.files import write_atomically
from trill.presets import list_models, locate, presets
from trill.representation import Representation

CLIPS = 3  # that are timed
SECONDS = 10.0  # of each, at most
REPEATS = 3  # the fastest counts: the others waited for something
TAP = "embedding"  # what the whole of a network computes
UNKNOWN = ("", "unknown", "none")


def about(representation: Representation, spec: Any) -> dict[str, Any]:
    """What is known of a representation without running it: `bytes`, `licence`, `multiplies_per_second`.

    Args:
        representation: what embeds.
        spec: the text that it was loaded by, if it was.
    """
    card = representation.card if isinstance(representation, Embedder) else None
    licence = card.licence if card else str(getattr(representation, "licence", ""))
    file = model_file(spec)
    found = {
        "bytes": file.stat().st_size if file else None,
        "licence": None if licence in UNKNOWN else licence,
        "multiplies_per_second": _multiplies_per_second(representation),
    }
    return {name: value for name, value in found.items() if value is not None}


def model_file(spec: Any) -> Path | None:
    """The file of one of our models, by name or path, with or without a tap."""
    if not isinstance(spec, str):
        return None
    for name in (spec, spec.rpartition("@")[0]):
        if name in list_models():
            return locate(name)
        if Path(name).is_file() and Path(name).suffix in (".tflite", ".safetensors"):
            return Path(name)
    return None


def _multiplies_per_second(representation: Representation) -> float | None:
    """Of a Keras network, or of a packaged model, whose row says; another file's card does not."""
    if not isinstance(representation, Embedder) or representation.tap != TAP:
        return None
    row = presets().get(representation.card.name, {})
    if (
        "multiply_adds" in row
        and modelfile.read(locate(representation.card.name))[1].identity == representation.card.identity
    ):
        return float(row["multiply_adds"]) / representation.hop_seconds
    network = getattr(representation.model, "network", None)
    if network is None:
        return None
    from trill.networks.counting import multiply_adds

    try:
        return multiply_adds(network) / representation.hop_seconds
    except ValueError:  # a layer that cannot be counted
        return None


def seconds_per_second(representation: Representation, utterances: Sequence[Utterance], file: Path) -> float | None:
    """Seconds of one core to embed a second of sound of these clips, measured once and kept in a file.

    Of the first clips that can be read ten seconds at most are embedded, after one that does not count, three times;
    the fastest counts. The larger of elapsed and of processor time is taken: what a framework spreads over cores is
    added up, and what a process of its own computes is waited for. Linear algebra gets one thread.

    Returns:
        None if no clip can be read.

    Raises:
        ValueError: if the representation fails.
    """
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["seconds_per_second"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # missing or damaged
    waveforms = list(islice(_waveforms(utterances, representation.sample_rate), CLIPS))
    if not waveforms:
        return None
    with optional("threadpoolctl", "noss").threadpool_limits(1):
        representation.embed_windows(waveforms[0])
        took = min(_took(representation, waveforms) for _ in range(REPEATS))
    found = took * representation.sample_rate / sum(map(len, waveforms))
    with write_atomically(file) as temporary:
        temporary.write_text(json.dumps({"seconds_per_second": found}), encoding="utf-8")
    return found


def _took(representation: Representation, waveforms: list[np.ndarray]) -> float:
    began, busy = time.perf_counter(), time.process_time()
    for waveform in waveforms:
        representation.embed_windows(waveform)
    return max(time.perf_counter() - began, time.process_time() - busy)


def _waveforms(utterances: Sequence[Utterance], sample_rate: int) -> Iterator[np.ndarray]:
    """The begin of each file that can be read, as long as the utterance is."""
    for utterance in utterances:
        long = SECONDS if utterance.end is None else min(SECONDS, utterance.end - utterance.start)
        blocks = audio.blocks(utterance.path, target_rate=sample_rate, block_seconds=SECONDS)
        try:
            with contextlib.closing(cast(Generator[np.ndarray], blocks)):
                first = next(blocks)
        except (AudioError, OSError, StopIteration):
            continue
        if len(cut := first[: round(long * sample_rate)]):
            yield cut
