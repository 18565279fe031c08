"""Whisper as a teacher: its log-mel front end and the hidden states of its encoder.

**Padding.** Whisper was trained on 30 s, shorter clips padded with zeros. `pad=True` does so, and reproduces the
reference. The default sees each clip as it is, at a cost in proportion to its length; docs/teachers.md says how far its
frames are from the padded ones. Longer clips are cut into consecutive chunks of 30 s that do not see each other.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from distill.teachers import clips
from distill.teachers.hub import Checkpoint
from distill.teachers.whisper_encoder import Sizes, encoder, load_weights, sizes_of
from trill.errors import ModelError
from trill.networks.frontend import hann

SAMPLE_RATE = 16_000
FRAME_STEP, FFT_LENGTH = 160, 400  # samples between two mel frames, and in one
HOP = 2 * FRAME_STEP  # the second convolution halves the rate
# XLA compiles each length anew: there, lengths are rounded up to so many frames and masked.
ROUND_TO = {"tensorflow": 1}


@dataclasses.dataclass(frozen=True)
class Whisper:
    """A Whisper encoder with its front end; `load` reads one.

    Args:
        name: unique and versioned.
        fingerprint: SHA-256 of weights and configuration.
        sizes: of the whole encoder.
        num_layers: blocks that are run.
        pad: whether each clip is padded with zeros to the chunk, as the reference does.
    """

    name: str
    fingerprint: str
    sizes: Sizes
    num_layers: int
    pad: bool
    _run: Callable[..., dict[str, np.ndarray]] = dataclasses.field(repr=False)

    @property
    def sample_rate(self) -> int:
        """16,000 Hz."""
        return SAMPLE_RATE

    @property
    def hop_samples(self) -> int:
        """Samples between the starts of two frames: 20 ms."""
        return HOP

    @property
    def width(self) -> int:
        """Values a frame, of every layer."""
        return self.sizes.width

    @property
    def chunk_samples(self) -> int:
        """The longest sound that is seen at once."""
        return self.sizes.positions * HOP

    @property
    def taps(self) -> tuple[str, ...]:
        """The input of the first block and the output of each; of the encoder's last, after the final norm."""
        return tuple(f"layer{index}" for index in range(self.num_layers + 1))

    def hidden_states(
        self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
    ) -> list[np.ndarray]:
        """All taps of a batch.

        Args:
            waveform: `(batch, num_samples)` in [-1, 1].
            lengths: samples of sound in each row; None for all.

        Returns:
            For each tap `(batch, ceil(num_samples / 320), width)` float32. Frames past a row's sound are zeros; other
            rows change a row by rounding alone.

        Raises:
            ValueError: if waveform or lengths are none.
        """
        return self._states(waveform, lengths, self.taps)

    def _states(
        self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray | None, taps: Sequence[str]
    ) -> list[np.ndarray]:
        sounds = clips.clips_of(waveform, lengths)
        frames, chunk = -(-np.shape(waveform)[1] // HOP), self.chunk_samples
        states = [np.zeros((len(sounds), frames, self.width), np.float32) for _ in taps]
        for start in range(0, max(map(len, sounds)), chunk):
            rows = [row for row, sound in enumerate(sounds) if len(sound) > start]
            parts = [sounds[row][start : start + chunk] for row in rows]
            outputs = self._run(self._inputs(parts))
            for state, tap in zip(states, taps, strict=True):
                for row, part, output in zip(rows, parts, outputs[tap], strict=True):
                    here, count = start // HOP, -(-len(part) // HOP)
                    state[row, here : here + count] = output[:count]
        return states

    def embed_windows(self, waveform: np.ndarray, tap: str | None = None) -> np.ndarray:
        """`(num_samples,)` in [-1, 1] to `(ceil(num_samples / 320), width)` float32 of one tap, the last by default.

        Raises:
            ValueError: if the waveform is none or there is no such tap.
        """
        wanted = clips.check_tap(tap, self.taps, default=self.taps[-1])
        (states,) = self._states(clips.check_waveform(waveform, rank=1)[None], None, [wanted])
        return states[0]

    def log_mel(self, waveform: np.ndarray) -> np.ndarray:
        """What the encoder sees of at most a chunk: `(num_frames, mel_bands)` float32, an even number of frames."""
        missing = self.chunk_samples - len(waveform) if self.pad else -len(waveform) % HOP
        return log_mel(np.pad(waveform, (0, missing)), self.sizes.mel_bands)

    def _inputs(self, sounds: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        mels = [self.log_mel(sound) for sound in sounds]
        lengths = np.array([len(mel) // 2 for mel in mels])
        frames = lengths.max() + -lengths.max() % ROUND_TO.get(keras.backend.backend(), 50)
        padded = [np.pad(mel, ((0, 2 * frames - len(mel)), (0, 0))) for mel in mels]
        return {"log_mel": np.stack(padded), "mask": (np.arange(frames) < lengths[:, None]).astype(np.float32)}


def load(checkpoint: Checkpoint, num_layers: int | None = None, *, pad: bool = False) -> Whisper:
    """Read an encoder; of a whole model, the decoder is left alone.

    Args:
        checkpoint: in the hub's form, or of encoder weights alone.
        num_layers: read and run only so many blocks; None for all.
        pad: pad each clip with zeros to 30 s, as the reference does.

    Raises:
        ModelError: if the checkpoint is no Whisper encoder, or contradicts itself.
        ValueError: if it has fewer blocks than asked for.
    """
    sizes = sizes_of(checkpoint)
    _check_frontend(checkpoint, sizes)
    count = clips.check_num_layers(num_layers, sizes.blocks)
    network = encoder(sizes, count)
    load_weights(network, checkpoint)
    name = (
        clips.versioned_name(checkpoint) + ("" if count == sizes.blocks else f"-{count}") + ("-padded" if pad else "")
    )
    return Whisper(name, checkpoint.fingerprint, sizes, count, pad, clips.compiled(network))


# By `model_type` or `name` in `config.json`.
FAMILIES: dict[str, Callable[..., Any]] = {"whisper": load, "whisper_tiny_en_encoder": load}


def _check_frontend(checkpoint: Checkpoint, sizes: Sizes) -> None:
    """Every Whisper published has one front end, of 80 or 128 bands: another would be computed wrongly."""
    told = checkpoint.preprocessor or checkpoint.config.get("frontend") or {}
    chunk = sizes.positions * HOP
    rules = {
        "sampling_rate": SAMPLE_RATE, "sample_rate": SAMPLE_RATE,
        "hop_length": FRAME_STEP, "n_fft": FFT_LENGTH, "fft_length": FFT_LENGTH,
        "feature_size": sizes.mel_bands, "mel_bins": sizes.mel_bands,
        "n_samples": chunk, "pad_or_trim_samples": chunk,
    }  # fmt: skip
    for key, value in rules.items():
        if key in told and told[key] != value:
            raise ModelError(f"{key} of {checkpoint.folder} must be {value}, as Whisper's, got {told[key]!r}.")


def log_mel(waveform: np.ndarray, bands: int) -> np.ndarray:
    """Whisper's log-mel spectrogram, in float64 inside.

    Args:
        waveform: `(num_samples,)` in [-1, 1], a multiple of 160 samples; it is mirrored at both ends.
        bands: 80, or 128 from large-v3 on.

    Returns:
        `(num_samples // 160, bands)` float32: log10, at most 8 below the loudest value of the waveform, shifted and
        scaled to about [-1, 1].
    """
    padded = np.pad(np.asarray(waveform, np.float64), FFT_LENGTH // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_LENGTH)[::FRAME_STEP][: len(waveform) // FRAME_STEP]
    power = np.abs(np.fft.rfft(frames * hann(FFT_LENGTH))) ** 2
    log = np.log10(np.maximum(power @ mel_filters(bands), 1e-10))
    return ((np.maximum(log, log.max() - 8.0) + 4.0) / 4.0).astype(np.float32)


@functools.cache
def mel_filters(bands: int) -> np.ndarray:
    """Triangles of equal area on Slaney's mel scale, 0 to 8000 Hz.

    The scale is linear to 1000 Hz (200/3 Hz a mel) and logarithmic above (27 mel a factor of 6.4): M. Slaney, Auditory
    Toolbox, 1998. Files may hold this matrix; it is computed all the same.

    Returns:
        `(201, bands)` float64.

    >>> mel_filters(80).shape
    (201, 80)
    """

    def hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    highest = 15 + np.log(SAMPLE_RATE / 2 / 1000) * 27 / np.log(6.4)
    edges = hertz(np.linspace(0, highest, bands + 2))
    bins = np.fft.rfftfreq(FFT_LENGTH, 1 / SAMPLE_RATE)[:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    return np.maximum(0.0, triangles) * 2 / (upper - lower)
