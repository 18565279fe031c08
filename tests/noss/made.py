"""Tasks whose answer is known, for tests of the protocol."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from noss.tasks import Corpus, Task, Utterance

CORPUS = Corpus("Made in a test", "here", "none", "")


def task(kind="classification", metric="uar", split="speakers", **options):
    return Task("made", CORPUS, "label", lambda folder: [], kind, metric, split, **options)


def utterances(labels, speakers, parts=None):
    parts = [None] * len(labels) if parts is None else parts
    return [
        Utterance(Path(f"{index}.wav"), f"{index}.wav", label, str(speaker), part)
        for index, (label, speaker, part) in enumerate(zip(list(labels), list(speakers), parts, strict=True))
    ]


def embeddings(clips, counts=None, failed=None, noise=0.0, seed=0):
    """Windows around the vector of each clip; `counts` of them, one unless given; none of clips that failed."""
    counts = np.ones(len(clips), int) if counts is None else np.array(counts)
    failed = failed or {}
    counts[list(failed)] = 0
    rows = np.repeat(clips, counts, axis=0)
    rows = rows + noise * np.random.default_rng(seed).normal(size=rows.shape)
    return SimpleNamespace(rows=rows.astype(np.float32), starts=np.cumsum([0, *counts]), failed=failed)


def corpus(num_speakers=20, clips=12, classes="abc", dim=10, label=1.0, voice=1.0, seed=0):
    """Labels, speakers and vectors: so much of the label, so much of the speaker, and noise of one."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(num_speakers), clips)
    codes = rng.permuted(np.tile(np.arange(len(speakers)) % len(classes), 1))
    vectors = label * rng.normal(size=(len(classes), dim))[codes] + rng.normal(size=(len(codes), dim))
    vectors += voice * rng.normal(size=(num_speakers, dim))[speakers]
    return np.array([*classes])[codes], speakers.astype(str), vectors
