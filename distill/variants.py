"""Altered copies of a corpus' clips, for teachers and students alike: sound from more rooms, microphones and throats.

A teacher needs no labels, so what it says of an altered clip is new data, where noise that the student alone hears is
the old. Copies are clips like others: decoded once, listened to once, refused with the targets of other sound.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trill.parallel import map_in_threads
from trill.training import augment
from trill.training.corpora import Corpus, Named
from trill.training.effects import Augmentation
from trill.training.recipes import check, made

SUFFIX = " [variant {}]"  # after a clip's name, from 1 on
MAX_COPIES = 1_000


@dataclasses.dataclass(frozen=True)
class Variants:
    """Which copies a corpus has.

    Args:
        effects: rows of `trill.training.augment.AUGMENTATIONS` but `noise`, as in a recipe's [augment], applied in
            order to whole clips; `speed` changes their length.
        copies: of each clip, beside it.
        seed: of what is drawn. Not the run's: targets are made before there is one.

    Raises:
        ValueError: if there is nothing to alter, or as it cannot be.
    """

    effects: dict[str, Any]
    copies: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check("copies", self.copies, 1 <= self.copies <= MAX_COPIES, f"in [1, {MAX_COPIES:,}]")
        check("seed", self.seed, 0 <= self.seed < 2**32, "in [0, 2**32)")
        if "noise" in self.effects:
            raise ValueError("variants have no noise: it is mixed in for the student alone, in [augment].")
        if not self.effects:
            known = ", ".join(name for name in augment.AUGMENTATIONS if name != "noise")
            raise ValueError(f"variants need an effect, one of {known}, got none.")


def read_variants(table: Any) -> Variants:
    """The table `[objective.variants]` of a recipe: `copies`, `seed`, and a row an effect.

    Raises:
        ValueError: if it cannot be.

    >>> read_variants({"copies": 4, "speed": {"low": 0.8, "high": 1.25}}).effects
    {'speed': {'low': 0.8, 'high': 1.25}}
    """
    where = "[objective.variants]"
    if not isinstance(table, dict):
        raise ValueError(f"variants must be a table {where}, got {table!r}.")
    own = {name: table[name] for name in ("copies", "seed") if name in table}
    found: Variants = made(Variants, {"effects": {k: v for k, v in table.items() if k not in own}, **own}, where)
    return found


def varied(corpus: Corpus, variants: Variants | None, threads: int = 2) -> Corpus:
    """A corpus in which each clip is followed by its copies; itself without variants.

    A copy is a function of the seed, its number and the clip's samples at the rate of the cache: a clip that was moved
    has the same copies, and what is a clip's duplicate has its copies' duplicates, which a cache leaves out. What
    cannot be read is so under one name.

    Args:
        corpus: the clips.
        variants: which copies.
        threads: copies made at once. The longest clip is about ten times in memory for each.
    """
    if variants is None:
        return corpus
    count = variants.copies + 1

    def read(skip: int, sample_rate: int) -> Iterator[Named]:
        change = augment.build(variants.effects, sample_rate=sample_rate, whole=True)
        clips, some = divmod(skip, count)
        wanted = ((sound, copy) for sound in corpus.read(clips, sample_rate) for copy in range(count))
        make = functools.partial(_copy, change, variants.seed)
        return map_in_threads(make, itertools.islice(wanted, some, None), threads)

    facts = json.dumps([corpus.fingerprint, dataclasses.asdict(variants)])
    total = None if corpus.total is None else corpus.total * count
    return Corpus(hashlib.sha256(facts.encode()).hexdigest(), read, total)


def _copy(change: Augmentation, seed: int, numbered: tuple[Named, int]) -> Named:
    (name, sound), copy = numbered
    if copy == 0 or isinstance(sound, str) or not len(sound):
        return name, sound
    # As the cache stores it: what differs by less is one clip.
    digest = hashlib.sha256(np.rint(sound * 32_767).astype("<i2")).digest()
    rng = np.random.default_rng([seed, copy, int.from_bytes(digest, "little")])
    return name + SUFFIX.format(copy), change(sound, rng)


def is_copy(name: str) -> bool:
    """Whether a clip of a varied corpus is an altered copy.

    >>> is_copy("a.wav"), is_copy("a.wav [variant 2]")
    (False, True)
    """
    return re.search(r" \[variant \d+\]$", name) is not None


def with_copies(column: Mapping[str, str], variants: Variants | None) -> dict[str, str]:
    """What is said of clips by name, said of their copies, too.

    >>> with_copies({"a.wav": "anna"}, Variants({"speed": {}}))
    {'a.wav': 'anna', 'a.wav [variant 1]': 'anna'}
    """
    suffixes = ["", *(SUFFIX.format(copy + 1) for copy in range(variants.copies if variants else 0))]
    return {name + suffix: value for name, value in column.items() for suffix in suffixes}
