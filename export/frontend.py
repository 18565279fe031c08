"""The front end as a phone computes it fastest: a discrete Fourier transform of two small matrix products.

Cooley & Tukey 1965, with the split that suits a frame of 400 samples in a transform of 512: sample n = 16 r + m, bin
k = k1 + 32 k2. The inner transform over r has 25 inputs: the zeros that pad the frame are never multiplied. The outer
one over m holds the twiddle factors. As the input is real, k1 = 0 ... 16 gives every bin or its mirror image; and as
k1 = 0 and 16 are real themselves, they share a place as if they were one's real and imaginary part. So both products
have the sizes that vectors like, and each bin but 0, which no mel band weighs, comes out once.

XNNPACK runs both products; it has no FFT. `docs/decisions/frontend-form.md` has the figures.
"""

from typing import Any

import numpy as np
from keras import ops

from trill.networks import frontend
from trill.networks.frontend import FrontendConfig

COLUMNS = 16  # m = 0 ... 15


def log_mel(waveform: Any, config: FrontendConfig) -> Any:
    """`trill.networks.frontend.log_mel` in matrix products, where frame and transform divide by 16; else by FFT.

    Args:
        waveform: `(batch, num_samples)` float32 tensor in [-1, 1], its length known.
        config: the front end.

    Returns:
        `(batch, num_frames, mel_bands)` float32.
    """
    length, bands = config.frame_length, config.mel_bands
    if length % COLUMNS or config.fft_length % (2 * COLUMNS):
        return frontend.log_mel(waveform, config)
    inner, outer, mel = matrices(config)
    groups, _, width = outer.shape
    frames = ops.extract_sequences(waveform, length, config.frame_step) * frontend.hann(length).astype("float32")
    num_frames = frames.shape[1]
    columns = ops.transpose(ops.reshape(frames, (-1, num_frames, length // COLUMNS, COLUMNS)), (0, 1, 3, 2))
    # (batch, frames, m, real or imaginary, k1) -> (batch, k1, frames, real or imaginary x m)
    inside = ops.reshape(ops.matmul(columns, inner), (-1, num_frames, COLUMNS, 2, groups))
    inside = ops.reshape(ops.transpose(inside, (0, 4, 1, 3, 2)), (-1, groups, num_frames, width))
    spectrum = ops.matmul(inside, outer)
    real, imaginary = spectrum[..., :COLUMNS], spectrum[..., COLUMNS:]
    magnitude = ops.transpose(ops.sqrt(real * real + imaginary * imaginary), (0, 2, 1, 3))
    magnitude = ops.reshape(magnitude, (-1, num_frames, groups * COLUMNS))
    return ops.log(ops.matmul(magnitude, ops.reshape(mel, (-1, bands))) + config.log_offset)


def matrices(config: FrontendConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inner transform, outer transform and mel weights, float32.

    Returns:
        `(r, 2 x k1)`, `(k1, 2 x m, 2 x k2)` and `(k1, k2, mel_bands)`, where `2 x` is real, then imaginary; at k1 = 0
        the first half of k2 is of k1 = 0, the second of the highest k1.
    """
    size, length = config.fft_length, config.fft_length // COLUMNS  # of the whole transform, of the inner one
    r, m, k1, k2 = map(np.arange, (config.frame_length // COLUMNS, COLUMNS, length // 2, COLUMNS))
    waves = np.exp(-2j * np.pi * np.multiply.outer(r, np.arange(length // 2 + 1)) / length)
    inner = np.hstack([waves.real[:, :-1], waves.real[:, -1:], waves.imag[:, 1:-1]])

    bins = k1[:, None] + length * k2
    bins[0] = np.concatenate([length * (k2[: COLUMNS // 2] + 1), length // 2 + length * k2[: COLUMNS // 2]])
    turns = np.exp(-2j * np.pi * bins[:, None, :] * m[:, None] / size)
    outer = np.block([[turns.real, turns.imag], [-turns.imag, turns.real]])
    own = np.repeat(np.eye(2), COLUMNS // 2, axis=1)  # each real series gives the bins of its own half
    outer[0] = np.block([[turns.real[0] * half, turns.imag[0] * half] for half in own])
    mel = frontend.mel_matrix(config)[np.minimum(bins, size - bins)]  # a mirror image has the same magnitude
    return inner.astype("float32"), outer.astype("float32"), mel.astype("float32")
