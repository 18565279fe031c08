"""The parts of the protocol written out from their definitions: one clip, one window, one number at a time."""

import math

import numpy as np


def aggregate(windows, how):
    """`(num_windows, dim)` of one clip to `(dim,)` or `(2 * dim,)`, in float64."""
    columns = [[float(value) for value in column] for column in np.asarray(windows).T]
    means = [sum(column) / len(column) for column in columns]
    if how == "mean":
        return means
    if how == "max":
        return [max(column) for column in columns]
    deviations = [
        math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))
        for column, mean in zip(columns, means, strict=True)
    ]
    return means + deviations


def vote(predicted):
    """Of the predictions for one clip the most frequent; of equally frequent ones the first."""
    return max(predicted, key=lambda each: (predicted.count(each), -predicted.index(each)))


def by_speaker(rows, speakers, training, judged, clip, min_clips=5):
    """One row, less its speaker's mean, over its speaker's standard deviation."""
    mine = [each for each in training if speakers[each] == speakers[clip]]
    if not mine:
        mine = [each for each in judged if speakers[each] == speakers[clip]]
    if len(mine) < min_clips:
        mine = training
    found = []
    for dimension in range(rows.shape[1]):
        values = [float(rows[each, dimension]) for each in mine]
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        found.append((float(rows[clip, dimension]) - mean) / (deviation or 1))
    return found


def standardised(training, others):
    """Two matrices, float64, by mean and standard deviation of the first."""
    training, others = np.asarray(training, np.float64), np.asarray(others, np.float64)
    mean, scale = training.mean(axis=0), training.std(axis=0)
    scale[scale == 0] = 1
    return (training - mean) / scale, (others - mean) / scale


def ridge(training, targets, others, strength):
    """Predictions of least squares on standardised rows, with a penalty of `strength` for each dimension."""
    training, others = standardised(training, others)
    dim = training.shape[1]
    rows = np.column_stack([training, np.ones(len(training))])
    penalty = strength * dim * np.diag([1.0] * dim + [0.0])
    solution = np.linalg.solve(rows.T @ rows + penalty, rows.T @ targets)
    return np.column_stack([others, np.ones(len(others))]) @ solution
