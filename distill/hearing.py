"""What is kept of a teacher, and its frames of a clip of any length."""

import dataclasses

import numpy as np

from distill.targets import num_frames
from distill.teachers.teacher import Teacher

CHUNK_SECONDS = (
    30  # longer clips are heard in parts: Whisper's positions end there, and attention grows with the square
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is kept of a teacher.

    Args:
        layers: indices into its hidden states, 0 for the input of the first block.
        tap: of `embed_windows`, instead of layers; None with no layers for its default.
        combine: "concat" or "mean" of the layers.
        components: principal components; None for all values, standardised.
        dtype: stored.
        keep: "frames", "clips" (one vector a clip, the mean of its frames) or "both".
        tail_seconds: of silence after each clip, so that the padded windows of its end have frames, too.
        seed: of the clips that the basis is fitted on.

    Raises:
        ValueError: if one is out of range.
    """

    layers: tuple[int, ...] = ()
    tap: str | None = None
    combine: str = "concat"
    components: int | None = None
    dtype: str = "float16"
    keep: str = "both"
    tail_seconds: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {"combine": ("concat", "mean"), "dtype": ("float16", "float32"), "keep": ("frames", "clips", "both")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        if self.layers and self.tap:
            raise ValueError(f"targets are of layers or of a tap, got layers {self.layers} and the tap {self.tap!r}.")
        if not 0 <= self.tail_seconds <= 60:
            raise ValueError(f"tail_seconds must be in [0, 60], got {self.tail_seconds}.")


class Hearing:
    """A teacher's frames of a clip of any length, as many as `num_frames` counts; or its one row of a whole clip."""

    def __init__(self, teacher: Teacher, recipe: Recipe) -> None:
        self.teacher, self.recipe = teacher, recipe
        rate = teacher.sample_rate
        short, long = (len(self._states(np.zeros(seconds * rate, np.float32))) for seconds in (1, 11))
        self.whole = long == short  # it says one thing of a clip
        if self.whole and recipe.keep != "clips":
            raise ValueError(f"{teacher.name} says one thing of a clip, and has no frames. Keep clips: --keep clips.")
        known = getattr(teacher, "hop_samples", None)
        if not known and not self.whole and 10 * rate % (long - short):
            raise ValueError(
                f"{teacher.name} gives {long - short} frames in 10 s of {rate} Hz, so its hop is unknown. "
                "Give the teacher an attribute hop_samples."
            )
        self.hop = CHUNK_SECONDS * rate if self.whole else int(known or 10 * rate // (long - short))
        # Frames that look ahead are fewer at the end: so much silence brings them.
        self.ahead = max(0, int(num_frames(np.array(11 * rate), self.hop)) - long) * self.hop
        self.chunk = max(1, CHUNK_SECONDS * rate // self.hop)

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(num_frames, width)` float32."""
        count = int(num_frames(np.array(len(clip)), self.hop))
        padded = clip if self.whole else np.pad(clip, (0, count * self.hop + self.ahead - len(clip)))
        parts = []
        for first in range(0, count, self.chunk):
            some = min(self.chunk, count - first)
            states = self._states(padded[first * self.hop : (first + some) * self.hop + self.ahead])
            missing = some - len(states)
            if missing > 1:
                raise ValueError(f"{self.teacher.name} gives {len(states)} frames where {some} are due.")
            parts.append(np.pad(states[:some], ((0, max(0, missing)), (0, 0)), mode="edge"))
        return np.concatenate(parts)

    def _states(self, waveform: np.ndarray) -> np.ndarray:
        recipe = self.recipe
        if not recipe.layers:
            return np.asarray(self.teacher.embed_windows(waveform, recipe.tap), np.float32)
        states = self.teacher.hidden_states(waveform[None])
        if not all(0 <= layer < len(states) for layer in recipe.layers):
            raise ValueError(
                f"layers of {self.teacher.name} are 0 (the input of the first block) to {len(states) - 1}, got "
                f"{', '.join(map(str, recipe.layers))}."
            )
        chosen = [np.asarray(states[layer][0], np.float32) for layer in recipe.layers]
        return np.mean(chosen, axis=0) if recipe.combine == "mean" else np.concatenate(chosen, axis=1)
