"""Log-mel and context windows written out from their definition: float64, one frame and one triangle at a time."""

import math

import numpy as np


def mel(hz):
    """The HTK mel scale."""
    return 2595 * math.log10(1 + hz / 700)


def log_mel(waveform, config):
    """`(num_samples,)` to `(num_frames, mel_bands)`; only whole frames count."""
    frame_length = round(config.frame_seconds * config.sample_rate)
    frame_step = round(config.step_seconds * config.sample_rate)
    fft_length = 1
    while fft_length < frame_length:
        fft_length *= 2
    hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * n / frame_length) for n in range(frame_length)])
    bin_mels = [mel(k * config.sample_rate / fft_length) for k in range(fft_length // 2 + 1)]
    distance = (mel(config.high_hz) - mel(config.low_hz)) / (config.mel_bands + 1)

    spectrogram = []
    for start in range(0, len(waveform) - frame_length + 1, frame_step):
        frame = np.asarray(waveform[start : start + frame_length], np.float64)
        magnitudes = abs(np.fft.rfft(frame * hann, fft_length))
        bands = []
        for band in range(config.mel_bands):
            centre = mel(config.low_hz) + (band + 1) * distance
            total = 0.0
            for bin_mel, magnitude in list(zip(bin_mels, magnitudes, strict=True))[1:]:  # the bin at 0 Hz is no sound
                # A triangle on the mel axis: 1 at its centre, 0 at its neighbours' centres.
                total += max(0.0, 1 - abs(bin_mel - centre) / distance) * magnitude
            bands.append(math.log(total + config.log_offset))
        spectrogram.append(bands)
    return np.array(spectrogram)


def context_windows(spectrogram, config):
    """Start at 0, h, 2h, ... while a whole window fits."""
    starts = range(0, len(spectrogram) - config.window_frames + 1, config.hop_frames)
    return np.array([spectrogram[start : start + config.window_frames] for start in starts])
