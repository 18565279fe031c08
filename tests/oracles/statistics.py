"""Resampling, a t-test and a regression written out from their definitions: one round, one clip, one row at a time."""

import math

import numpy as np

from tests.oracles import metrics


def drawn_speakers(speakers, rounds, seed):
    """For each round the names drawn, in the order of the generator: as `score.py` of the speech packs draws them."""
    random = np.random.default_rng(seed)
    names = sorted(set(speakers))
    return [[names[i] for i in random.integers(len(names), size=len(names))] for _ in range(rounds)]


def resampled(metric, truth, predicted, speakers, rounds, seed):
    """The metric of each round: a list of clips is put together speaker by speaker."""
    values = []
    for names in drawn_speakers(speakers, rounds, seed):
        clips = [clip for name in names for clip in range(len(truth)) if speakers[clip] == name]
        values.append(metric([truth[c] for c in clips], [predicted[c] for c in clips]))
    return values


def resampled_pairs(metric, truth, predicted, speakers, rounds, seed):
    """A pair of two speakers is in for each copy of the one and each of the other; of one speaker, for each copy."""
    values = []
    for names in drawn_speakers(np.asarray(speakers).ravel().tolist(), rounds, seed):
        pairs = []
        for pair, (first, second) in enumerate(speakers):
            for i, one in enumerate(names):
                for j, other in enumerate(names):
                    if (one, other) == (first, second) and (first != second or i == j):
                        pairs.append(pair)
        kinds = {truth[p] for p in pairs}
        values.append(metric([truth[p] for p in pairs], [predicted[p] for p in pairs]) if len(kinds) == 2 else math.nan)
    return values


def score_py_interval(truth, predicted, speakers, rounds=500):
    """As `score.py` writes it."""
    values = resampled(metrics.uar, truth, predicted, speakers, rounds, seed=0)
    return tuple(np.percentile(values, [2.5, 97.5]))


def corrected_t(a, b, test_to_train):
    """Nadeau & Bengio 2003: mean difference over the root of (1/J + n_test/n_train) times the sample variance."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n = len(differences)
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
    return mean / math.sqrt((1 / n + test_to_train) * variance)


def regression(scores, models, tasks):
    """Least squares by the normal equations in sum-to-zero coding: effects, their standard errors, R².

    Columns: 1; for each model but the last, +1 for it and -1 for the last; likewise tasks. The last effect is less the
    sum of the others.
    """
    names, task_names = sorted(set(models)), sorted(set(tasks))
    rows = []
    for model, task in zip(models, tasks, strict=True):
        row = [1.0]
        for levels, level in ((names, model), (task_names, task)):
            row += [float(level == other) - float(level == levels[-1]) for other in levels[:-1]]
        rows.append(row)
    x, y = np.array(rows), np.array(scores, float)
    coefficients = np.linalg.solve(x.T @ x, x.T @ y)
    residuals = y - x @ coefficients
    variance = sum(residuals**2) / (len(y) - x.shape[1])
    covariance = variance * np.linalg.inv(x.T @ x)
    effects, errors = {}, {}
    for i, name in enumerate(names):
        contrast = np.zeros(x.shape[1])
        if i < len(names) - 1:
            contrast[1 + i] = 1
        else:
            contrast[1 : len(names)] = -1
        effects[name] = contrast @ coefficients
        errors[name] = math.sqrt(contrast @ covariance @ contrast)
    return effects, errors, 1 - sum(residuals**2) / sum((y - y.mean()) ** 2)
