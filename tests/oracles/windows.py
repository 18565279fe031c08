"""Framing and pooling written out from their definitions, one sample at a time."""

import math


def starts(num_samples, window, hop):
    """Where windows start: 0, h, 2h, ... while a whole one fits; then one more, if it sees enough that is new.

    Enough is half a hop, or half a window if that is less. A waveform shorter than a window is one window.
    """
    whole = [start for start in range(0, num_samples, hop) if start + window <= num_samples] or [0]
    seen = {sample for start in whole for sample in range(start, start + window)}
    after = whole[-1] + hop
    new = [sample for sample in range(after, after + window) if sample < num_samples and sample not in seen]
    return whole + [after] * (len(new) >= hop / 2 or len(new) >= window / 2)


def frame(waveform, window, hop):
    """The samples of each window, zeros after the end."""
    padded = [*waveform, *[0] * (window + hop)]
    return [padded[start : start + window] for start in starts(len(waveform), window, hop)]


def times(num_samples, window, hop, sample_rate):
    """Start and end of each window in seconds."""
    return [
        [start / sample_rate, min(start + window, num_samples) / sample_rate]
        for start in starts(num_samples, window, hop)
    ]


def pool(rows, how):
    """One vector of many, a column at a time."""
    columns = list(zip(*rows, strict=True))
    mean = [math.fsum(column) / len(column) for column in columns]
    if how == "mean":
        return mean
    if how == "max":
        return [max(column) for column in columns]
    spread = [
        math.sqrt(math.fsum((value - centre) ** 2 for value in column) / len(column))
        for column, centre in zip(columns, mean, strict=True)
    ]
    return mean + spread
