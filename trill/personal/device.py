"""A head to and from the state of a file that learns on a phone (docs/personalization-on-device.md)."""

from collections.abc import Mapping, Sequence

import numpy as np

from trill.personal.labels import checked_label, listed
from trill.personal.linear import LinearHead


def to_file(head: LinearHead, num_classes: int) -> dict[str, np.ndarray]:
    """What `set_weights` takes: see `PersonalHead.to_file_weights`."""
    num_labels, dim = head.weights.shape
    free = num_classes - num_labels
    if free < 0:
        raise ValueError(f"a file of {num_classes} classes cannot hold {num_labels} labels. Export one with more.")
    return {
        "weights": np.pad(head.weights, ((0, free), (0, 0))),
        "bias": np.pad(head.bias, (0, free)),
        "weights_velocity": np.zeros((num_classes, dim), np.float32),
        "bias_velocity": np.zeros(num_classes, np.float32),
        "active": (np.arange(num_classes) < num_labels).astype(np.float32),
    }


def from_file(
    state: Mapping[str, np.ndarray], labels: Sequence[str], dim: int, method: str, clips: float
) -> LinearHead:
    """Of what `get_weights` gave: see `PersonalHead.from_file_weights`."""
    weights, bias, active = (np.asarray(state[name], np.float32) for name in ("weights", "bias", "active"))
    if weights.shape != (len(bias), dim) or bias.ndim != 1 or active.shape != bias.shape or not clips > 0:
        raise ValueError(
            f"weights must be (C, {dim}), bias and active (C,) and clips above 0, got {weights.shape}, {bias.shape}, "
            f"{active.shape} and {clips}. Pass what get_weights of a file of this model gave."
        )
    names, rows = tuple(map(checked_label, labels)), np.flatnonzero(active > 0)
    if not 0 < len(names) == len(set(names)) == len(rows):
        raise ValueError(f"each active row needs a label of its own, got {len(rows)} rows and {listed(names)}.")
    if not (np.isfinite(weights[rows]).all() and np.isfinite(bias[rows]).all()):
        raise ValueError("weights must be finite, got NaN or infinity. Train again with a lower learning rate.")
    return LinearHead(method, float(clips), names, weights[rows], bias[rows])
