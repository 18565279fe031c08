"""Effects by name, in the order and with the chance that a recipe gives them: its table `augment` as one function.

Nothing is on unless a recipe asks for it:

>>> augment = build({"gain": {"low_db": -15, "high_db": 6}, "mask_time": {"probability": 0.5}})
>>> augment(np.full(15_600, 0.1, np.float32), np.random.default_rng(0)).shape
(15600,)
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trill.training import effects
from trill.training.effects import Augmentation


def sometimes(augmentation: Augmentation, probability: float) -> Augmentation:
    """Apply an augmentation with a probability in [0, 1], else leave the waveform as it is."""
    effects.check(0, 1, probability=probability)
    return lambda waveform, rng: augmentation(waveform, rng) if rng.random() < probability else waveform


def chain(augmentations: Sequence[Augmentation]) -> Augmentation:
    """Apply augmentations in order, then clip to [-1, 1]. What comes out is a new array.

    >>> louder = chain([effects.gain(low_db=20, high_db=20)])
    >>> louder(np.float32([0.05, -0.5]), np.random.default_rng(0))
    array([ 0.5, -1. ], dtype=float32)
    """

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if waveform.ndim != 1 or waveform.size == 0 or waveform.dtype != np.float32:
            raise ValueError(
                f"waveform must be a non-empty float32 vector, got {waveform.dtype} of shape {waveform.shape}. "
                "Augment window by window, in [-1, 1]."
            )
        for augmentation in augmentations:
            waveform = augmentation(waveform, rng)
        clipped: np.ndarray = np.clip(waveform, -1, 1)
        return clipped

    return augment


# What a recipe may name. The keyword arguments are the keys of a row.
AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {
    factory.__name__: factory
    for factory in (
        effects.gain,
        effects.noise,
        effects.reverberation,
        effects.band_limit,
        effects.codec,
        effects.mask_time,
        effects.mask_frequency,
        effects.speed,
        effects.equalise,
        effects.formants,
    )
}


def build(
    rows: Mapping[str, Mapping[str, Any]],
    noise_sounds: Sequence[np.ndarray] = (),
    sample_rate: int = 16_000,
    *,
    whole: bool = False,
) -> Augmentation:
    """Make one augmentation of a recipe's rows.

    Args:
        rows: names in `AUGMENTATIONS` with their settings, in the order they apply. Each may hold a `probability` in
            [0, 1] and applies always without. No rows: the waveform stays as it is.
        noise_sounds: each `(n,)` float32 at `sample_rate`, for the row `noise`.
        sample_rate: Hz.
        whole: what is changed is a clip, not a window: `speed` may change its length.

    Raises:
        ValueError: if a name or key is unknown, a value outside its limits, or `noise` asked for without sounds.

    >>> build({"gain": {"low": 3}})
    Traceback (most recent call last):
    ...
    ValueError: augmentation gain: keys must be among low_db, high_db, probability, got low. Correct the recipe.
    """
    given = {"sounds": noise_sounds, "sample_rate": sample_rate, "whole": whole}
    return chain([_from_row(name, row, given) for name, row in rows.items()])


def _from_row(name: str, row: Mapping[str, Any], given: Mapping[str, Any]) -> Augmentation:
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentations must be among {', '.join(AUGMENTATIONS)}, got {name}. Correct the recipe.")
    takes = inspect.signature(AUGMENTATIONS[name]).parameters
    keys = [*(key for key in takes if key not in given), "probability"]
    if not isinstance(row, Mapping) or not set(row) <= set(keys):
        got = ", ".join(str(key) for key in row if key not in keys) if isinstance(row, Mapping) else repr(row)
        raise ValueError(f"augmentation {name}: keys must be among {', '.join(keys)}, got {got}. Correct the recipe.")
    settings = {key: value for key, value in {**given, **row}.items() if key in takes}
    try:
        return sometimes(AUGMENTATIONS[name](**settings), row.get("probability", 1))
    except ValueError as error:
        raise ValueError(f"augmentation {name}: {error}") from None
