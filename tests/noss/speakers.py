"""Corpora whose clips are alike by speaker, for tests of what is resampled."""

import math

import numpy as np

SIMULATIONS = 400  # at 95 % by chance 92.8 to 97.2


def corpus(num_speakers=6, clips=8, seed=0, kind="classification"):
    """Truth, predicted, and speakers whose clips are alike."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat([f"speaker {i}" for i in range(num_speakers)], rng.integers(1, 2 * clips, num_speakers))
    skill = np.repeat(rng.normal(size=num_speakers), np.unique(speakers, return_counts=True)[1])
    if kind == "classification":
        truth = rng.choice([*"abc"], len(speakers))
        return truth, np.where(rng.normal(size=len(speakers)) < skill + 0.5, truth, "b"), speakers
    truth = rng.normal(40, 12, len(speakers)) if kind == "regression" else rng.random(len(speakers)) < 0.5
    return truth, (truth + skill + 0.5 * rng.normal(size=len(speakers))).round(1), speakers


def simulated(num_speakers, seed, means=(0.5,)):
    """Speakers differ in how well they are recognised, with each class too: log-odds normal around the means."""
    rng = np.random.default_rng([num_speakers, seed])
    speakers = np.repeat(np.arange(num_speakers), rng.integers(10, 31, num_speakers))
    truth = rng.integers(3, size=len(speakers))
    shared = rng.normal(size=(num_speakers, 1))
    right = [
        rng.random(len(speakers))
        < 1 / (1 + np.exp(-(mean + shared + 0.3 * rng.normal(size=(num_speakers, 3)))[speakers, truth]))
        for mean in means
    ]
    return truth, *(np.where(some, truth, (truth + 1) % 3) for some in right), speakers


def expected_recall(mean):
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    return (weights / (1 + np.exp(-(mean + math.sqrt(1.09) * points)))).sum() / weights.sum()
