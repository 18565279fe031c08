"""A model of named outputs, of any framework, as a teacher."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from distill.teachers.clips import check_tap, check_waveform, clips_of, stack


@dataclass(frozen=True, eq=False)
class Windowed:
    """A model that embeds one waveform at named taps; meets `distill.teachers.teacher.Teacher`.

    Args:
        name: of the model.
        sample_rate: Hz.
        fingerprint: SHA-256 of the weights.
        taps: its outputs; `hidden_states` gives them all, in this order.
        default: the tap that is meant where none is named.
        compute: a `(num_samples,)` waveform and a tap to `(num_windows, dim)`.
        hop_samples: between the starts of two rows; None where that is unknown or a clip has one row.
    """

    name: str
    sample_rate: int
    fingerprint: str
    taps: tuple[str, ...]
    default: str
    compute: Callable[[np.ndarray, str], np.ndarray] = field(repr=False)
    hop_samples: int | None = None

    @property
    def num_layers(self) -> int:
        return len(self.taps) - 1

    @functools.cached_property
    def width(self) -> int:
        return self.embed_windows(np.zeros(self.sample_rate, np.float32)).shape[1]

    def hidden_states(
        self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Every tap of every clip, each clip alone: neither padding nor neighbours change it.

        Args:
            waveform: `(batch, num_samples)` in [-1, 1].
            lengths: samples of each clip; None for all. Rows past a clip's end are zeros.

        Raises:
            ValueError: if the waveforms are no finite matrix, or a length is not in it.
        """
        clips = clips_of(waveform, lengths)
        return [stack([self.embed_windows(clip, tap) for clip in clips]) for tap in self.taps]

    def embed_windows(self, waveform: np.ndarray, tap: str | None = None) -> np.ndarray:
        """`(num_samples,)` in [-1, 1] to `(num_windows, dim)` float32.

        Raises:
            ValueError: if the waveform is no finite vector, or there is no such tap.
        """
        wanted = check_tap(tap, self.taps, self.default)
        return np.asarray(self.compute(check_waveform(waveform, rank=1), wanted), np.float32)
