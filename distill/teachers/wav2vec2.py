"""wav2vec 2.0, HuBERT and WavLM in the hub's form, as teachers.

One network in three families and two forms: the base forms (group norm in the first convolution, blocks that normalise
their output) and the large ones (layer norm in every convolution, blocks that normalise their input).
"""

import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from distill.teachers import wav2vec2_network as network
from distill.teachers.clips import check_num_layers, check_tap, check_waveform, clips_of, versioned_name
from distill.teachers.hub import Checkpoint
from distill.teachers.relative_position import buckets
from distill.teachers.wav2vec2_config import Config, Shapes, block_shapes, config, outer_shapes, position_shapes
from trill.errors import ModelError

# Task checkpoints hold the encoder under the family's name; heads and what only training needs are not read.
PREFIXES = ("", "wav2vec2.", "hubert.", "wavlm.")
HEADS = (
    "lm_head.", "classifier.", "projector.", "layer_weights", "tdnn.", "feature_extractor_tdnn.", "objective.",
    "project_hid.", "project_q.", "quantizer.", "final_proj.", "label_embs_concat", "masked_spec_embed",
)  # fmt: skip
RELATIVE = "encoder.layers.0.attention.rel_attn_embed.weight"
# Heads × frames² of one clip: 2.3 GB of float32, held a few times over; 120 s of a large model.
MAX_SCORES = 16 * 6000**2
NORMALIZE_EPSILON = 1e-7  # transformers' Wav2Vec2FeatureExtractor


@dataclass(frozen=True, eq=False)
class SelfSupervised:
    """An encoder with its weights; made by `load`.

    Args:
        name: unique and versioned; it holds the number of blocks where not all are run.
        sample_rate: Hz.
        fingerprint: of the checkpoint.
        config: its sizes.
        num_layers: blocks that are run, `config.num_blocks` or fewer.
        normalize: whether a clip is brought to mean 0 and variance 1 first.
    """

    name: str
    sample_rate: int
    fingerprint: str
    config: Config
    num_layers: int
    normalize: bool
    _outer: network.Weights = field(repr=False)
    _blocks: Sequence[network.Weights] = field(repr=False)
    _first: Callable[..., Any] = field(repr=False)
    _block: Callable[..., Any] = field(repr=False)

    @property
    def width(self) -> int:
        """Dimensions of every state."""
        return self.config.width

    @property
    def taps(self) -> tuple[str, ...]:
        """Names of the hidden states: "layer0" is the transformer's input."""
        return tuple(f"layer{index}" for index in range(self.num_layers + 1))

    @property
    def hop_samples(self) -> int:
        """Samples between two frames: 320 in the published models."""
        return self.config.hop_samples

    @property
    def window_samples(self) -> int:
        """Samples under one frame before the transformer mixes them: 400 in the published models."""
        return self.config.window_samples

    @property
    def max_seconds(self) -> float:
        """The longest clip: attention grows with its square."""
        return math.isqrt(MAX_SCORES // self.config.heads) * self.hop_samples / self.sample_rate

    def hidden_states(
        self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Every hidden state, as the reference computes it.

        Args:
            waveform: `(batch, num_samples)` float32 in [-1, 1] at `sample_rate`, at most `max_seconds`. Clips shorter
                than `window_samples` are padded with zeros to one frame.
            lengths: samples of each clip, what follows is padding and is not looked at; None where there is none.

        Returns:
            The transformer's input and the output of each block, `(batch, frames, width)` float32 each; a frame every
            `hop_samples`, zeros after a clip's end. The last block's of a pre-norm form has passed the final norm, as
            in `transformers` 4.x (5.x gives it before), unless fewer blocks are run than there are.

            Neighbours never change a clip's states (but for rounding, about 1e-6). Padding changes none of the large
            forms. In base forms the first convolution is normalised over the padded clip, here as in the reference:
            for what a clip gives alone call with it alone, or with clips of its length.

        Raises:
            ValueError: if the waveform is not such, or too long, or a length is not within it.
        """
        clips = clips_of(waveform, lengths)
        return self._states(clips, np.shape(waveform)[1], self.num_layers)

    def embed_windows(self, waveform: np.ndarray, tap: str | None = None) -> np.ndarray:
        """One hidden state of one clip as it is, unpadded; blocks above it are not run.

        Args:
            waveform: `(num_samples,)` float32 in [-1, 1] at `sample_rate`. What is longer than `max_seconds` is
                embedded in parts of that length, which do not hear each other.
            tap: one of `taps`; None for the last.

        Returns:
            `(frames, width)` float32.

        Raises:
            ValueError: if there is no such tap, or the waveform is not such.
        """
        index = self.taps.index(check_tap(tap, self.taps, self.taps[-1]))
        clip = check_waveform(waveform, rank=1)
        longest = math.floor(self.max_seconds * self.sample_rate)
        parts = [clip[first : first + longest] for first in range(0, len(clip), longest)]
        return np.concatenate([self._states([part], len(part), index)[index][0] for part in parts])

    def num_frames(self, num_samples: int) -> int:
        """Frames of a clip, one at least."""
        return max(1, self.config.num_frames(num_samples))

    def _states(self, clips: Sequence[np.ndarray], num_samples: int, last: int) -> list[np.ndarray]:
        """Hidden states 0 to `last` of clips that are padded to `num_samples`."""
        seconds = num_samples / self.sample_rate
        if seconds > self.max_seconds:
            raise ValueError(f"a clip may last {self.max_seconds:.0f} s, got {seconds:.1f} s. Cut it into pieces.")
        num_samples = max(num_samples, self.window_samples)
        padded = np.stack([np.pad(self._normalized(clip), (0, num_samples - len(clip))) for clip in clips])
        num_frames = np.array([self.num_frames(len(clip)) for clip in clips])
        within = np.arange(self.num_frames(num_samples)) < num_frames[:, None]
        return [np.where(within[..., None], state, np.float32(0)) for state in self._run(padded, within, last)]

    def _run(self, padded: np.ndarray, within: np.ndarray, last: int) -> Iterator[np.ndarray]:
        mask = within.astype(np.float32)
        bias = self._relative_bias(mask.shape[1])
        x = self._first(self._outer, padded, mask)
        yield ops.convert_to_numpy(x)
        for index, weights in enumerate(self._blocks[:last], start=1):
            x = self._block(weights, x, mask, bias)
            if self.config.pre_norm and index == self.config.num_blocks:
                x = network.final_norm(self.config, self._outer, x)
            yield ops.convert_to_numpy(x)

    def _relative_bias(self, num_frames: int) -> Any:
        if RELATIVE not in self._outer:
            return np.zeros((0, 0, 0), np.float32)
        return ops.take(self._outer[RELATIVE], buckets(num_frames, self.config.buckets, self.config.max_distance), 1)

    def _normalized(self, clip: np.ndarray) -> np.ndarray:
        if not self.normalize:
            return clip
        return (clip - clip.mean()) / np.sqrt(clip.var() + NORMALIZE_EPSILON)


def load(checkpoint: Checkpoint, num_layers: int | None = None) -> SelfSupervised:
    """Read an encoder: every tensor's name and shape is checked before any is read.

    Args:
        checkpoint: of `model_type` wav2vec2, hubert or wavlm.
        num_layers: how many blocks to read and run, from the first; None for all.

    Raises:
        ModelError: if the checkpoint does not hold the encoder that it describes, or one that is not computed here.
        ValueError: if it has fewer blocks.
    """
    c = config(checkpoint.config, checkpoint.folder / "config.json")
    run = check_num_layers(num_layers, c.num_blocks)
    sample_rate, normalize = _preprocessing(checkpoint)
    prefix, position_names = _check_tensors(checkpoint, c)
    read = functools.partial(_read, checkpoint, prefix)
    outer = {name: read(name) for name in outer_shapes(c)}
    outer[f"{network.POSITIONS}.weight"] = _weight_normed(*map(read, position_names))
    blocks = [{name: read(f"encoder.layers.{index}.{name}") for name in block_shapes(c)} for index in range(run)]
    return SelfSupervised(
        name=versioned_name(checkpoint) + ("" if run == c.num_blocks else f"-{run}"),
        sample_rate=sample_rate,
        fingerprint=checkpoint.fingerprint,
        config=c,
        num_layers=run,
        normalize=normalize,
        _outer=outer,
        _blocks=blocks,
        _first=network.compiled(network.transformer_input, c, outer, ranks=(2, 2)),
        _block=network.compiled(network.block, c, blocks[0] if blocks else {}, ranks=(3, 2, 3)),
    )


# By `model_type` of the configuration.
FAMILIES: dict[str, Callable[..., SelfSupervised]] = {"wav2vec2": load, "hubert": load, "wavlm": load}


def _read(checkpoint: Checkpoint, prefix: str, name: str) -> Any:
    # The backend transposes: a tensor of TensorFlow made from a NumPy array keeps both.
    return ops.transpose(checkpoint.tensor(prefix + name))


def _weight_normed(gain: Any, direction: Any) -> Any:
    """The kernel `(width, in, out)` whose norm at each tap is the gain, `(width, 1, 1)`."""
    norm = ops.sqrt(ops.sum(ops.square(direction), axis=(1, 2), keepdims=True))
    return gain * direction / ops.maximum(norm, np.finfo(np.float32).tiny)


def _preprocessing(checkpoint: Checkpoint) -> tuple[int, bool]:
    where = checkpoint.folder / "preprocessor_config.json"
    sample_rate, normalize = (checkpoint.preprocessor.get(name) for name in ("sampling_rate", "do_normalize"))
    if type(sample_rate) is not int or not 0 < sample_rate <= 192_000 or not isinstance(normalize, bool):
        raise ModelError(
            f"{where} must say sampling_rate in Hz and do_normalize, got {sample_rate!r} and {normalize!r}. "
            "Download the whole checkpoint."
        )
    return sample_rate, normalize


def _check_tensors(checkpoint: Checkpoint, c: Config) -> tuple[str, tuple[str, ...]]:
    """The prefix of the encoder's tensors, and the names of the positional convolution's gain and direction."""
    names = checkpoint.names()
    prefix = next((p for p in PREFIXES if f"{p}feature_extractor.conv_layers.0.conv.weight" in names), "")
    positions = next((row for row in position_shapes(c) if prefix + next(iter(row)) in names), position_shapes(c)[0])
    expected: Shapes = outer_shapes(c) | positions
    _check_shapes(checkpoint, prefix, expected)
    for index in range(c.num_blocks):  # a claim of more blocks than there are ends at the first missing
        rows = {f"encoder.layers.{index}.{name}": shape for name, shape in block_shapes(c).items()}
        _check_shapes(checkpoint, prefix, rows)
        expected |= rows
    known = {prefix + name for name in expected}
    extra = [name for name in names if name not in known and not name.removeprefix(prefix).startswith(HEADS)]
    if extra:
        listed = ", ".join(extra[:5]) + (f" and {len(extra) - 5} more" if len(extra) > 5 else "")
        warnings.warn(
            f"{checkpoint.folder} holds tensors of no known part, which are not read: {listed}.", stacklevel=3
        )
    return prefix, tuple(positions)


def _check_shapes(checkpoint: Checkpoint, prefix: str, expected: Shapes) -> None:
    for name, shape in expected.items():
        stored = checkpoint.tensors.get(prefix + name)
        if stored is None or stored.shape != shape:
            found = "none" if stored is None else f"shape {stored.shape}"
            raise ModelError(
                f"{checkpoint.folder} must hold {prefix}{name} of shape {shape} by its config.json, got {found}. "
                "Copy or download it again."
            )
