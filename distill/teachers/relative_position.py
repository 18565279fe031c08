"""WavLM's gated relative position bias (Chen et al. 2022, arXiv:2110.13900, section III.A)."""

from typing import Any

import numpy as np
from keras import ops


def buckets(num_frames: int, num_buckets: int, max_distance: int) -> np.ndarray:
    """Which row of the embedding each pair of frames takes: T5's buckets (Raffel et al. 2020, section 2.1).

    Half the buckets are for frames after, half for those before and the frame itself; half of each are for one distance
    alone, the rest grow with its logarithm up to `max_distance`, beyond which all distances share one.

    Args:
        num_frames: frames of the sequence.
        num_buckets: rows of the embedding, a multiple of 4.
        max_distance: in frames, more than `num_buckets / 4`.

    Returns:
        `(num_frames, num_frames)` int32, by query and key.

    >>> buckets(5, 8, 4)
    array([[0, 5, 6, 7, 7],
           [1, 0, 5, 6, 7],
           [2, 1, 0, 5, 6],
           [3, 2, 1, 0, 5],
           [3, 3, 2, 1, 0]], dtype=int32)
    """
    half, exact = num_buckets // 2, num_buckets // 4
    distance = np.arange(1 - num_frames, num_frames)  # key - query
    # In float32 as the reference: the bucket of a distance near an edge depends on the rounding.
    far = np.log(np.maximum(np.abs(distance), 1).astype(np.float32) / np.float32(exact))
    far = far / np.float32(np.log(max_distance / exact)) * np.float32(half - exact)
    far = np.minimum(exact + far.astype(np.int32), half - 1)
    bucket = np.where(np.abs(distance) < exact, np.abs(distance), far) + half * (distance > 0)
    frames = np.arange(num_frames)
    return bucket[frames[None] - frames[:, None] + num_frames - 1].astype(np.int32)


def gated(x: Any, weights: dict[str, Any], bias: Any) -> Any:
    """Scale the bias of each query by what the query holds.

    Args:
        x: input of the attention by head, `(batch, heads, frames, head_dim)`.
        weights: of the block: `attention.gru_rel_pos_linear` and `attention.gru_rel_pos_const`.
        bias: `(heads, frames, frames)`.

    Returns:
        `(batch, heads, frames, frames)`.
    """
    kernel, offset = (weights[f"attention.gru_rel_pos_linear.{part}"] for part in ("weight", "bias"))
    # Eight outputs: the update gate is the sum of the first four, the reset gate of the others.
    summed = ops.matmul(x, _halves(kernel)) + _halves(offset)
    update, reset = ops.split(ops.sigmoid(summed), 2, axis=-1)
    scale = ops.reshape(weights["attention.gru_rel_pos_const"], (-1, 1, 1))
    return (update * (reset * scale - 1.0) + 2.0) * bias


def _halves(x: Any) -> Any:
    return ops.sum(ops.reshape(x, (*x.shape[:-1], 2, 4)), axis=-1)
