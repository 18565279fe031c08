"""From waveform to log-mel windows: what every encoder sees.

Shor et al. 2020, section 3.1 and Hershey et al. 2017, section 3.1: 25 ms frames every 10 ms, magnitude spectrum,
64 mel bands, logarithm with an offset. Bands, window, step and offset are data, so YAMNet's, VGGish's and
TRILLsson's front ends are rows of `FRONTENDS`.
"""

import dataclasses
from typing import Any

import keras
import numpy as np

MAX_SIZE = 1_000_000  # of any count: a description in a file is not to claim more memory than sound could need


@dataclasses.dataclass(frozen=True)
class FrontendConfig:
    """A log-mel front end in seconds and hertz; counts of samples and frames are derived.

    Args:
        sample_rate: Hz.
        frame_seconds: length of one analysis frame.
        step_seconds: time between the starts of two frames.
        mel_bands: number of triangular filters on the HTK mel scale, 2595 log10(1 + f/700).
        low_hz: lower edge of the first band.
        high_hz: upper edge of the last band, at most half the sample rate.
        log_offset: added to the mel magnitudes before the natural logarithm.
        window_frames: frames in a context window, the encoder's input.
        hop_frames: frames between the starts of two context windows.

    Raises:
        ValueError: if a size is not positive, or absurd, or the band edges are not ordered.

    >>> config = FrontendConfig()
    >>> config.frame_length, config.fft_length, config.window_samples, config.hop_samples
    (400, 512, 15600, 2720)
    """

    sample_rate: int = 16_000
    frame_seconds: float = 0.025
    step_seconds: float = 0.010
    mel_bands: int = 64
    low_hz: float = 125.0
    high_hz: float = 7_500.0
    log_offset: float = 0.001
    window_frames: int = 96
    hop_frames: int = 17

    def __post_init__(self) -> None:
        sizes = ("sample_rate", "frame_length", "frame_step", "mel_bands", "log_offset", "window_frames", "hop_frames")
        for name in sizes:
            if not 0 < getattr(self, name) <= MAX_SIZE:
                raise ValueError(
                    f"{name} must be positive and at most {MAX_SIZE:,}, got {getattr(self, name)}. "
                    "FrontendConfig() is the paper's."
                )
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ValueError(
                f"band edges must satisfy 0 <= low_hz < high_hz <= {self.sample_rate / 2:g} (half the sample rate), "
                f"got {self.low_hz} and {self.high_hz}."
            )

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return round(self.frame_seconds * self.sample_rate)

    @property
    def frame_step(self) -> int:
        """Samples between the starts of two frames."""
        return round(self.step_seconds * self.sample_rate)

    @property
    def fft_length(self) -> int:
        """The power of two that holds a frame."""
        return int(2 ** np.ceil(np.log2(self.frame_length)))

    @property
    def window_samples(self) -> int:
        """Samples that give exactly one context window."""
        return (self.window_frames - 1) * self.frame_step + self.frame_length

    @property
    def hop_samples(self) -> int:
        """Samples between the starts of two context windows."""
        return self.hop_frames * self.frame_step


FRONTENDS: dict[str, FrontendConfig] = {
    # Shor et al. 2020; the public module steps its windows by 17 frames.
    "trill": FrontendConfig(),
    # github.com/tensorflow/models, research/audioset/yamnet/params.py
    "yamnet": FrontendConfig(hop_frames=48),
    # github.com/tensorflow/models, research/audioset/vggish/vggish_params.py
    "vggish": FrontendConfig(log_offset=0.01, hop_frames=96),
    # Shor & Venugopalan 2022, arXiv:2203.00236, section 3.3: about 2 s of 80 bands.
    "trillsson": FrontendConfig(mel_bands=80, window_frames=195, hop_frames=195),
}


def hann(length: int) -> np.ndarray:
    """The periodic Hann window: `(length,)` float64 in [0, 1]."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def mel_matrix(config: FrontendConfig) -> np.ndarray:
    """Weights from spectrum bins to mel bands.

    Triangles are drawn on the mel axis, without area normalisation, and the bin at 0 Hz has weight 0, as in
    `tf.signal.linear_to_mel_weight_matrix`.

    Returns:
        `(fft_length // 2 + 1, mel_bands)` float64 in [0, 1].

    >>> mel_matrix(FrontendConfig()).shape
    (257, 64)
    """

    def mel(hz: Any) -> Any:
        return 2595.0 * np.log10(1.0 + hz / 700.0)

    bins = mel(np.fft.rfftfreq(config.fft_length, 1 / config.sample_rate))[:, None]
    edges = np.linspace(mel(config.low_hz), mel(config.high_hz), config.mel_bands + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0.0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)))
    weights[0] = 0.0
    return weights


def log_mel(waveform: Any, config: FrontendConfig) -> Any:
    """Log-mel spectrogram of each row.

    The float32 transform rounds each bin by about 1e-7 of the loudest: the logarithm of a band that is near the offset
    beside a full-scale tone is exact to a few 1e-3, that of loud speech to about 1e-4, of noise to 1e-5.

    Args:
        waveform: `(batch, num_samples)` float32 tensor in [-1, 1] with `num_samples >= config.frame_length`.
        config: the front end.

    Returns:
        `(batch, num_frames, mel_bands)` float32 with `num_frames = 1 + (num_samples - frame_length) // frame_step`;
        frames are not padded, so silence is exactly `log(log_offset)`.

    >>> tuple(log_mel(np.zeros((1, 15_600), "float32"), FrontendConfig()).shape)
    (1, 96, 64)
    """
    # keras.ops.stft frames by fft_length and would lose the last frame: frame by hand, then rfft.
    frames = keras.ops.extract_sequences(waveform, config.frame_length, config.frame_step)
    real, imaginary = keras.ops.rfft(frames * hann(config.frame_length).astype("float32"), config.fft_length)
    magnitude = keras.ops.sqrt(real * real + imaginary * imaginary)
    mel = keras.ops.matmul(magnitude, mel_matrix(config).astype("float32"))
    return keras.ops.log(mel + config.log_offset)


def context_windows(spectrogram: Any, config: FrontendConfig) -> Any:
    """Cut log-mel frames into the encoder's windows.

    Args:
        spectrogram: `(batch, num_frames, mel_bands)`.
        config: the front end.

    Returns:
        `(batch, num_windows, window_frames, mel_bands)`. Frames after the last whole window are left out: at the
        paper's hop of 17 frames, 1 s gives 1 window and 2 s give 7.

    Raises:
        ValueError: if there are fewer frames than one window.

    >>> tuple(context_windows(np.zeros((1, 198, 64), "float32"), FrontendConfig()).shape)
    (1, 7, 96, 64)
    """
    num_frames = spectrogram.shape[1]
    if num_frames < config.window_frames:
        raise ValueError(
            f"a context window needs {config.window_frames} frames, got {num_frames}. "
            "Start from the waveform: log_mel_windows pads it."
        )
    starts = np.arange(0, num_frames - config.window_frames + 1, config.hop_frames)
    return keras.ops.take(spectrogram, starts[:, None] + np.arange(config.window_frames), axis=1)


def log_mel_windows(waveform: Any, config: FrontendConfig) -> Any:
    """Waveform to context windows; shorter than one window is zero-padded on the right to exactly one.

    Args:
        waveform: `(batch, num_samples)` float32 tensor in [-1, 1].
        config: the front end.

    Returns:
        `(batch, num_windows, window_frames, mel_bands)` float32.

    >>> tuple(log_mel_windows(np.zeros((1, 100), "float32"), FrontendConfig()).shape)
    (1, 1, 96, 64)
    """
    missing = max(0, config.window_samples - waveform.shape[1])
    return context_windows(log_mel(keras.ops.pad(waveform, ((0, 0), (0, missing))), config), config)


@keras.saving.register_keras_serializable("trill")
class LogMel(keras.layers.Layer):
    """`log_mel` as the first layer of a network; always float32, since a bfloat16 FFT loses the quiet bands."""

    def __init__(self, frontend: FrontendConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.frontend = frontend if isinstance(frontend, FrontendConfig) else FrontendConfig(**frontend)

    def call(self, waveform: Any) -> Any:
        return log_mel(waveform, self.frontend)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frontend": dataclasses.asdict(self.frontend)}
