"""What teachers share: checks of what comes in, weights by name, and teachers that see one clip at a time.

Keras is imported by what needs it: a teacher that is a file of another framework does not.
"""

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from distill.teachers.hub import Checkpoint
from trill.errors import ModelError, optional


def check_waveform(waveform: np.ndarray, rank: int) -> np.ndarray:
    """A waveform as float32, once it is one.

    Raises:
        ValueError: if it is no floating-point array, has another rank or no samples, or samples that are no numbers.
    """
    waveform = np.asarray(waveform)
    if waveform.dtype.kind != "f":
        raise ValueError(f"waveform must be floating-point in [-1, 1], got {waveform.dtype}. Divide PCM by full scale.")
    waveform = waveform.astype(np.float32, copy=False)
    if waveform.ndim != rank or waveform.size == 0:
        shape = ("(num_samples,)", "(batch, num_samples)")[rank - 1]
        raise ValueError(f"waveform must be {shape} and not empty, got shape {waveform.shape}. See trill.audio.read.")
    if not np.isfinite(waveform).all():
        raise ValueError("waveform must be finite, got NaN or infinity. Mend or leave out the sound.")
    return waveform


def clips_of(waveform: np.ndarray, lengths: Sequence[int] | np.ndarray | None) -> list[np.ndarray]:
    """The rows of `(batch, num_samples)`, each cut at its length in samples.

    Raises:
        ValueError: if the waveform is none, or `lengths` does not hold one in [1, num_samples] for each row.
    """
    waveform = check_waveform(waveform, rank=2)
    ends = np.full(len(waveform), waveform.shape[1]) if lengths is None else np.asarray(lengths)
    if ends.shape != (len(waveform),) or ends.min() < 1 or ends.max() > waveform.shape[1]:
        raise ValueError(
            f"lengths must hold a count of samples in [1, {waveform.shape[1]}] for each of {len(waveform)} rows, "
            f"got {np.asarray(lengths).tolist()}. None takes the rows whole."
        )
    return [row[:end] for row, end in zip(waveform, ends, strict=True)]


def stack(clips: Sequence[np.ndarray]) -> np.ndarray:
    """`(num_frames, dim)` of each clip to `(batch, most frames, dim)`; frames past a clip's end are zeros.

    >>> stack([np.ones((2, 1)), np.ones((1, 1))])[..., 0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    frames = np.zeros((len(clips), max(map(len, clips)), clips[0].shape[1]), np.float32)
    for row, clip in zip(frames, clips, strict=True):
        row[: len(clip)] = clip
    return frames


def check_tap(tap: str | None, taps: Sequence[str], default: str) -> str:
    """`tap`, or the default for None.

    Raises:
        ValueError: if there is no such tap.
    """
    if tap is not None and tap not in taps:
        raise ValueError(f"tap must be one of {', '.join(taps)}, got {tap!r}.")
    return default if tap is None else tap


def check_num_layers(num_layers: int | None, available: int) -> int:
    """How many blocks to run; None for all.

    Raises:
        ValueError: if there are fewer.
    """
    count = available if num_layers is None else num_layers
    if not 0 <= count <= available:
        raise ValueError(f"num_layers must be in [0, {available}], got {num_layers}. None runs them all.")
    return count


def compiled(network: Any) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """`network` without training, from inputs to outputs by name: one graph for all lengths on TensorFlow, else XLA."""
    keras = optional("keras", "train")
    network.trainable = False
    if keras.backend.backend() != "tensorflow":
        one_at_a_time = threading.Lock()  # on JAX, predict_on_batch hands its buffers over

        def predict(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            with one_at_a_time:
                found: dict[str, np.ndarray] = network.predict_on_batch(inputs)
            return found

        return predict
    tensorflow = optional("tensorflow", "teachers")
    signature = {value.name: tensorflow.TensorSpec(value.shape, value.dtype) for value in network.inputs}
    graph = tensorflow.function(lambda inputs: network(inputs, training=False), input_signature=[signature])
    return lambda inputs: {name: value.numpy() for name, value in graph(inputs).items()}


def check_shape(checkpoint: Checkpoint, name: str, shape: tuple[int, ...]) -> None:
    """See that a tensor is there in this shape, before it is read.

    Raises:
        ModelError: if it is not.
    """
    stored = checkpoint.tensors.get(name)
    if stored is None or stored.shape != tuple(shape):
        raise ModelError(
            f"{checkpoint.folder} must hold the tensor {name} of shape {tuple(shape)}, "
            f"got {stored.shape if stored else 'none'}. Copy or download the checkpoint again."
        )


def load_weights(
    network: Any, checkpoint: Checkpoint, read: Callable[[Checkpoint, str], np.ndarray] = Checkpoint.tensor
) -> None:
    """Fill a network whose layers are called as in the file: `conv1.kernel` is the kernel of the layer `conv1`.

    Raises:
        ModelError: if a tensor is missing or has another shape.
    """
    for layer in network.layers:
        for weight in layer.weights:
            name, shape = f"{layer.name}.{weight.name}", tuple(weight.shape)
            if type(layer).__name__.startswith("Depthwise") and weight.name == "kernel":
                shape = shape[:-1]  # files leave out the multiplier, which is 1
            value = read(checkpoint, name)
            if value.shape != shape:
                raise ModelError(f"{name} of {checkpoint.folder} must have the shape {shape}, got {value.shape}.")
            weight.assign(value.reshape(weight.shape))


def in_batches(
    run: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], name: str, rows: np.ndarray, size: int
) -> dict[str, np.ndarray]:
    """`run` with `rows` for its input `name`, always `size` at a time: another batch may round differently."""
    outputs = []
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        padding = [(0, size - len(batch))] + [(0, 0)] * (rows.ndim - 1)
        outputs.append({key: value[: len(batch)] for key, value in run({name: np.pad(batch, padding)}).items()})
    return {key: np.concatenate([output[key] for output in outputs]) for key in outputs[0]}


@dataclasses.dataclass(frozen=True)
class ClipTeacher:
    """A teacher that sees one clip at a time, so that neither batch nor neighbours change a frame.

    Args:
        name: unique and versioned.
        sample_rate: Hz.
        fingerprint: SHA-256 of weights and configuration.
        hop_samples: samples between the starts of two frames of `default`.
        states: the taps that `hidden_states` gives, the input of the first block first.
        widths: values a frame of each tap, in the order of the network.
        default: the tap of `embed_windows`.
        network: from what the front end makes of a clip to each tap, unflattened: for networks that contain it.
        compute: a clip `(num_samples,)` and the taps wanted to `(num_frames, width)` float32 of each.
    """

    name: str
    sample_rate: int
    fingerprint: str
    hop_samples: int
    states: tuple[str, ...]
    widths: Mapping[str, int]
    default: str
    network: Any
    compute: Callable[[np.ndarray, tuple[str, ...]], dict[str, np.ndarray]] = dataclasses.field(repr=False)

    @property
    def num_layers(self) -> int:
        """Blocks that are run."""
        return len(self.states) - 1

    @property
    def width(self) -> int:
        """Values a frame of the default tap."""
        return self.widths[self.default]

    @property
    def taps(self) -> tuple[str, ...]:
        """What `embed_windows` can return."""
        return tuple(self.widths)

    def hidden_states(
        self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
    ) -> list[np.ndarray]:
        """`(batch, num_samples)` in [-1, 1] to `(batch, num_frames, width)` of each of `states`.

        `lengths` are the rows' in samples; frames past a clip's end are zeros.

        Raises:
            ValueError: if waveform or lengths are none.
        """
        clips = [self.compute(clip, self.states) for clip in clips_of(waveform, lengths)]
        return [stack([clip[state] for clip in clips]) for state in self.states]

    def embed_windows(self, waveform: np.ndarray, tap: str | None = None) -> np.ndarray:
        """`(num_samples,)` in [-1, 1] to `(num_frames, width)` float32 of one tap.

        Raises:
            ValueError: if the waveform is none or there is no such tap.
        """
        wanted = check_tap(tap, self.taps, self.default)
        return self.compute(check_waveform(waveform, rank=1), (wanted,))[wanted]


def versioned_name(checkpoint: Checkpoint) -> str:
    """A name that changes with the weights: the configuration's own, the hub's or the folder's, and the fingerprint.

    >>> from pathlib import Path
    >>> from distill.teachers.hub import Checkpoint
    >>> checkpoint = Checkpoint(Path("whisper-tiny"), {})
    >>> versioned_name(checkpoint).startswith("whisper-tiny-")
    True
    """
    folder = checkpoint.folder
    # In the hub's cache the folder's own name is a commit: models--OWNER--NAME/snapshots/COMMIT.
    called = folder.parents[1].name.rpartition("--")[2] if folder.parent.name == "snapshots" else folder.name
    return f"{checkpoint.config.get('name', called)}-{checkpoint.fingerprint[:8]}"
