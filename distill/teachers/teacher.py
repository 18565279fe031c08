"""What a teacher is, and one of its layers as a representation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Teacher(Protocol):
    """A big model that small ones learn from. There is no base class."""

    @property
    def name(self) -> str:
        """Unique and versioned."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms it takes; callers resample through `trill.audio`."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over configuration and weights."""
        ...

    @property
    def hop_samples(self) -> int | None:
        """Samples between the starts of two frames; None where that is unknown or a clip has one."""
        ...

    @property
    def num_layers(self) -> int:
        """Blocks that are run: the index of the last hidden state."""
        ...

    @property
    def width(self) -> int:
        """Values in a frame of `embed_windows` without a tap."""
        ...

    @property
    def taps(self) -> tuple[str, ...]:
        """What `embed_windows` can return: "layer0", the input of the first block, to "layerN", or own names."""
        ...

    def hidden_states(
        self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
    ) -> list[np.ndarray]:
        """`(batch, num_samples)` float32 in [-1, 1] to `(batch, num_frames, width)`s, first the first block's input.

        `lengths` are the clips' in samples; None for all of them.
        """
        ...

    def embed_windows(self, waveform: np.ndarray, tap: str | None = None) -> np.ndarray:
        """`(num_samples,)` to `(num_frames, width)` float32 of one tap, the model's own choice if None."""
        ...


@dataclass(frozen=True, eq=False)
class Layer:
    """One tap of a teacher, its own choice if None; meets `trill.representation.Representation`."""

    teacher: Teacher
    tap: str | None = None

    @property
    def name(self) -> str:
        """Model, weights and tap: the same name, the same numbers."""
        return f"{self.teacher.name}@{self.tap}" if self.tap else self.teacher.name

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.teacher.sample_rate

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(num_frames, width)` float32."""
        return self.teacher.embed_windows(waveform, self.tap)
