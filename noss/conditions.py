"""What noise, a telephone and a codec cost: the classifier of the clean score, on altered sound.

A head is trained once, on what was at hand, and then hears a street: so everything is chosen and learned on sound as it
is, and only the clips that are tested are altered. The setting is that of the plain score in every split, and the
difference to that score, paired by clip and speaker, is the cost.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noss.config import ProtocolConfig
from noss.evaluation import Evaluation, Outcome, score, scores_of
from noss.features import Features, aggregate
from noss.protocol import check_embeddings, splits_of
from noss.selection import Data, none_if_nan, sweep
from noss.splits import Split
from noss.tasks.task import CorpusError, Task, Utterance
from trill import audio, files, manifests
from trill.embedder import Embedder
from trill.errors import optional
from trill.representation import Representation
from trill.training.augment import chain
from trill.training.effects import codec, noise
from trill.training.opus import opus

VERSION = 1  # of what an alteration does; raise it when the same name alters otherwise
TELEPHONE_RATE = 8_000  # Hz
NARROW = codec(low_bits=8, high_bits=8, sample_rate=TELEPHONE_RATE)  # 300 to 3400 Hz, mu-law

Sounds = Sequence[np.ndarray]
Alter = Callable[[np.ndarray, int, np.random.Generator, Sounds], np.ndarray]


def _noise(waveform: np.ndarray, rate: int, rng: np.random.Generator, sounds: Sounds, *, snr_db: float) -> np.ndarray:
    return chain([noise(sounds, low_snr_db=snr_db, high_snr_db=snr_db)])(waveform, rng)


def _telephone(waveform: np.ndarray, rate: int, rng: np.random.Generator, _: Sounds) -> np.ndarray:
    """Resampled to 8 kHz, the band and the steps of ITU-T G.711, and back."""
    if len(waveform) * TELEPHONE_RATE < rate:  # shorter than a sample there
        return waveform
    narrow = NARROW(audio.read(waveform, rate, target_rate=TELEPHONE_RATE), rng)
    found = audio.read(narrow, TELEPHONE_RATE, target_rate=rate)
    return np.pad(found, (0, max(0, len(waveform) - len(found))))[: len(waveform)]


def _opus(waveform: np.ndarray, rate: int, _: np.random.Generator, __: Sounds, *, bits_per_second: int) -> np.ndarray:
    return opus(waveform, bits_per_second, rate)


@dataclasses.dataclass(frozen=True)
class _Row:
    alter: Alter
    what: str
    noisy: bool = False


ALTERATIONS = {
    "noise-20dB": _Row(functools.partial(_noise, snr_db=20.0), "noise of --noise, 20 dB below the clip", True),
    "noise-10dB": _Row(functools.partial(_noise, snr_db=10.0), "noise of --noise, 10 dB below the clip", True),
    "noise-0dB": _Row(functools.partial(_noise, snr_db=0.0), "noise of --noise, as loud as the clip", True),
    "telephone": _Row(_telephone, "8 kHz, 300 to 3400 Hz, mu-law of 8 bits"),
    "opus-12k": _Row(functools.partial(_opus, bits_per_second=12_000), "Ogg Opus at 12 kbit/s"),
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """An alteration by name, and the noise that it mixes in.

    Args:
        name: in `ALTERATIONS`; the setting of its scores.
        noise: the sounds, in order; none where it takes none.
        digest: of what alters: a version, and the contents of the noise.
    """

    name: str
    noise: tuple[Path, ...] = ()
    digest: str = ""

    def config(self, plain: ProtocolConfig) -> ProtocolConfig:
        """The protocol under this condition. Its name says which alteration by which noise: results of another are
        computed again.
        """
        return dataclasses.replace(plain, name=f"{plain.name}-{self.name}-{self.digest[:8]}")

    def fingerprint(self, known: str) -> str:
        """Of a representation, known clean, that hears this: embeddings of altered sound are kept apart."""
        return hashlib.sha256(f"{known} {self.name} {self.digest}".encode()).hexdigest()


def conditions(names: Sequence[str], noise: str | Path | None = None) -> tuple[Condition, ...]:
    """Conditions by name.

    Args:
        names: in `ALTERATIONS`.
        noise: a folder or manifest of sounds; only those that mix it in take it.

    Raises:
        ValueError: if a name is none, stands twice, or needs noise and there is none; or noise is given to none.
    """
    if unknown := [name for name in names if name not in ALTERATIONS]:
        raise ValueError(f"a condition must be one of {', '.join(ALTERATIONS)}, got {', '.join(unknown)}.")
    if len(set(names)) < len(names):
        raise ValueError(f"a condition is asked for once, got {', '.join(names)}. Leave one out.")
    noisy = [name for name in names if ALTERATIONS[name].noisy]
    if bool(noisy) != (noise is not None):
        asked = f"{', '.join(noisy)} without noise" if noisy else "noise for no condition that mixes it in"
        raise ValueError(
            f"noise goes with the conditions noise-..., got {asked}: --condition noise-10dB --noise FOLDER."
        )
    paths = tuple(clip.path.absolute() for clip in manifests.find_clips([noise])) if noise else ()
    heard = hashlib.sha256("".join(files.sha256(path) for path in paths).encode()).hexdigest()
    return tuple(
        Condition(
            name,
            paths if ALTERATIONS[name].noisy else (),
            hashlib.sha256(f"{VERSION} {heard if ALTERATIONS[name].noisy else ''}".encode()).hexdigest(),
        )
        for name in names
    )


class Altered:
    """A representation that hears everything through a condition; meets `Representation`.

    What is drawn follows from the sound alone: a clip gets the same noise in every run, whatever it is called and for
    all representations of one sample rate.
    """

    def __init__(self, representation: Representation, condition: Condition) -> None:
        self.name = f"{representation.name}, {condition.name}"
        self.sample_rate = representation.sample_rate
        model = representation.model if isinstance(representation, Embedder) else representation
        self.threads = int(getattr(model, "threads", 1))
        self._inner, self._condition = representation, condition

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(num_windows, dim)`, of the altered sound."""
        return self._inner.embed_windows(alter(waveform, self.sample_rate, self._condition))


def alter(waveform: np.ndarray, sample_rate: int, condition: Condition) -> np.ndarray:
    """A waveform under a condition: `(num_samples,)` float32 in [-1, 1], as long as before."""
    seed = hashlib.sha256(condition.name.encode() + waveform.astype("<f4").tobytes()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:16], "little"))
    return ALTERATIONS[condition.name].alter(waveform, sample_rate, rng, _read_all(condition.noise, sample_rate))


@functools.lru_cache(maxsize=2)
def _read_all(paths: tuple[Path, ...], sample_rate: int) -> tuple[np.ndarray, ...]:
    return tuple(audio.read(path, target_rate=sample_rate) for path in paths)


def evaluate(
    task: Task,
    utterances: Sequence[Utterance],
    clean: Any,
    altered: Any,
    plain: Evaluation,
    config: ProtocolConfig,
) -> Evaluation:
    """The score on altered clips of what learned from clean ones.

    Args:
        task: of classes or numbers.
        utterances: of the task.
        clean: `noss.embeddings.Embeddings` of the clips as they are.
        altered: likewise, of the altered ones.
        plain: the score without the condition: its settings are taken, nothing is chosen anew.
        config: of the condition.

    Returns:
        An evaluation of the same splits. Of a speaker whom training lacks, normalisation by speaker knows the altered
        sound.

    Raises:
        CorpusError: if a split has no altered clip left to test.
        ValueError: if embeddings do not fit the utterances, or the task is verification.
    """
    if task.kind == "verification":
        raise ValueError("a condition needs a task of classes or numbers, got verification. Leave --condition out.")
    number = len(utterances)
    unheard, unread = check_embeddings(altered, utterances), check_embeddings(clean, utterances)
    labels = np.array([each.label for each in utterances])
    targets = np.unique(labels, return_inverse=True)[1] if plain.classes else labels
    used = dict.fromkeys(each.setting.aggregation for each in plain.outcomes)
    data = Data(
        {name: _joined(aggregate(clean, name), aggregate(altered, name)) for name in used},
        np.tile(targets, 2),
        np.tile(np.array([each.speaker for each in utterances]), 2),
        plain.classes,
        plain.metric,
        config,
    )
    drawn = {each.name: each for each in splits_of(task, utterances, config)}
    splits = [_split(drawn[each.name], each, unread, unheard) for each in plain.outcomes]
    with optional("threadpoolctl", "noss").threadpool_limits(1):
        outcomes = tuple(_heard(data, *each, number) for each in zip(splits, plain.outcomes, strict=True))
    scores = scores_of(task.kind, targets, outcomes, len(plain.classes), config.pooled)
    return dataclasses.replace(
        plain,
        config=json.loads(json.dumps(dataclasses.asdict(config))),
        score=scores[plain.metric],
        scores=scores,
        outcomes=outcomes,
        paper=None,
        failed={utterances[position].name: why for position, why in sorted((unheard | unread).items())},
    )


def _joined(clean: Features, altered: Features) -> Features:
    """The clips as they are, then the same clips altered."""
    return Features(
        np.concatenate([clean.rows, altered.rows]),
        np.concatenate([clean.starts, clean.starts[-1] + altered.starts[1:]]),
    )


def _split(split: Split, plain: Outcome, unread: dict[int, str], unheard: dict[int, str]) -> Split:
    """Without the clips that failed: to learn from, those of clean sound; to test, those of altered sound as well."""
    train, dev = (np.setdiff1d(part, np.array(list(unread), np.int64)) for part in (split.train, split.dev))
    test = np.setdiff1d(plain.items, np.array(list(unheard), np.int64))
    if not len(test):
        why = unheard[int(plain.items[0])]
        raise CorpusError(f"each split needs altered clips to test, {split.name} has none left: {why}")
    return dataclasses.replace(split, train=train, dev=dev, test=test)


def _heard(data: Data, split: Split, plain: Outcome, number: int) -> Outcome:
    """The plain outcome's setting learns as it did, from clean clips, and says what the altered ones are."""
    learned = np.union1d(split.train, split.dev) if data.config.refit else split.train
    (answer,) = sweep(data, [plain.setting], learned, number + split.test)
    found = score(data.metric, data.targets[split.test], answer.predicted, len(data.classes))
    return dataclasses.replace(
        plain,
        score=none_if_nan(found),
        items=split.test,
        predicted=answer.predicted,
        sizes={**plain.sizes, "test": len(split.test)},
        seen=answer.seen,
        seconds={"choose": 0.0, "test": answer.seconds},
    )
