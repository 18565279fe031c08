"""The front end as a phone computes it fastest: a discrete Fourier transform of two small matrix products.

Cooley & Tukey 1965, with the split that suits a frame of 400 samples in a transform of 512: sample n = 16 r + m, bin
k = k1 + 32 k2. The inner transform over r has 25 inputs: the zeros that pad the frame are never multiplied. The outer
one over m holds the twiddle factors. As the input is real, k1 = 0 ... 16 gives every bin or its mirror image.

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
        `(r, 2 x k1)`, `(k1, 2 x m, 2 x k2)` and `(k1, k2, mel_bands)`, where `2 x` is real, then imaginary.
    """
    size = config.fft_length
    r, m = np.arange(config.frame_length // COLUMNS), np.arange(COLUMNS)
    k1, k2 = np.arange(size // COLUMNS // 2 + 1), np.arange(COLUMNS)
    inner = np.exp(-2j * np.pi * COLUMNS * np.multiply.outer(r, k1) / size)
    twiddle = np.multiply.outer(k1, m)[:, :, None] / size
    outer = np.exp(-2j * np.pi * (twiddle + np.multiply.outer(m, k2) / COLUMNS))
    bins = k1[:, None] + size // COLUMNS * k2
    bins = np.minimum(bins, size - bins)  # a mirror image has the same magnitude
    # A bin that occurs twice is weighed once.
    first = np.zeros(bins.shape, bool).ravel()
    first[np.unique(bins, return_index=True)[1]] = True
    mel = frontend.mel_matrix(config)[bins] * first.reshape(*bins.shape, 1)
    blocks = np.block([[outer.real, outer.imag], [-outer.imag, outer.real]])
    return np.hstack([inner.real, inner.imag]).astype("float32"), blocks.astype("float32"), mel.astype("float32")
