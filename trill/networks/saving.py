"""One file that rebuilds a network: architecture, arguments, front end and weights.

The file is safetensors: a JSON header that is checked before it is believed, then numbers. Nothing in it is run. The
header's entry `trill` holds a `NetworkConfig`; a tensor is called as the encoder's layer and variable, e.g.
`block1_depthwise/kernel`.
"""

import dataclasses
import inspect
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import safetensors.numpy

from trill.errors import ModelError
from trill.files import write_atomically
from trill.networks.frontend import FrontendConfig, LogMel
from trill.networks.mobilenet import mobilenet
from trill.networks.mobilenet_v3 import mobilenet_v3
from trill.networks.resnetish import resnetish

# Builders take `window_frames` and `mel_bands` (from the front end), then what `NetworkConfig.arguments` holds.
ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    "mobilenet": mobilenet,
    "mobilenet_v3": mobilenet_v3,
    "resnetish": resnetish,
}
HEADER_KEY = "trill"
HARMLESS = 10_000  # units that any machine has memory for


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """What a network is, without its weights.

    Args:
        architecture: a row of `ARCHITECTURES`.
        arguments: the builder's, as JSON can hold them; window frames and mel bands come from the front end.
        frontend: how waveforms become the encoder's input.
        name: what the model is called.
        version: which training of it this is.
        licence: SPDX identifier of the weights' licence.
        description: one line.

    >>> config = NetworkConfig("mobilenet", {"width": 0.5}, name="half")
    >>> NetworkConfig.from_json(config.to_json()) == config
    True
    """

    architecture: str
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    frontend: FrontendConfig = dataclasses.field(default_factory=FrontendConfig)
    name: str = "unnamed"
    version: str = "0"
    licence: str = "unknown"
    description: str = ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "NetworkConfig":
        """The inverse of `to_json`.

        Raises:
            ModelError: if the text is no such description.
        """
        try:
            fields = json.loads(text)
            config = cls(**{**fields, "frontend": FrontendConfig(**fields["frontend"])})
            if not isinstance(config.arguments, dict):
                raise TypeError(f"arguments {config.arguments!r} are no object")
        except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
            raise ModelError(
                f"a network is described by JSON with the fields {', '.join(_names(cls))} and in frontend "
                f"{', '.join(_names(FrontendConfig))}, got {text[:80]!r}: {error}. NetworkConfig.to_json writes it."
            ) from error
        return config


def build(config: NetworkConfig) -> keras.Model:
    """Build the network of `config`, with new weights.

    Returns:
        A model from `waveform` `(batch, window_samples)` float32 to the encoder's taps. Its layers are the front end
        and the encoder, `model.get_layer(config.architecture)`.

    Raises:
        ModelError: if the architecture is not in `ARCHITECTURES` or does not take these arguments.

    >>> model = build(NetworkConfig("mobilenet", {"width": 0.25, "bottleneck": 16}))
    >>> model.output["embedding"].shape
    (None, 16)
    """
    builder = ARCHITECTURES.get(config.architecture)
    if builder is None:
        raise ModelError(
            f"architecture must be one of {', '.join(ARCHITECTURES)}, got {config.architecture!r}. "
            "A newer trill-speech may know it; a new network is a row of trill.networks.saving.ARCHITECTURES."
        )
    frontend = config.frontend
    try:
        encoder = builder(window_frames=frontend.window_frames, mel_bands=frontend.mel_bands, **config.arguments)
    except (TypeError, ValueError) as error:
        accepted = [
            name for name in inspect.signature(builder).parameters if name not in ("window_frames", "mel_bands")
        ]
        raise ModelError(
            f"{config.architecture} takes the arguments {', '.join(accepted)}, got {config.arguments}: {error}"
        ) from error
    waveform = keras.Input((frontend.window_samples,), name="waveform")
    return keras.Model(waveform, encoder(LogMel(frontend, name="frontend")(waveform)), name="network")


def save(model: keras.Model, config: NetworkConfig, path: str | os.PathLike[str]) -> None:
    """Write a network that `build(config)` made, whole or not at all.

    Raises:
        ModelError: if `model` has other weights than `config` describes.
    """
    tensors = {name: variable.numpy() for name, variable in _variables(model).items()}
    _check({name: _kind(tensor.shape) for name, tensor in tensors.items()}, build(config), "the model")
    with write_atomically(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, metadata={HEADER_KEY: config.to_json()}))


def load(path: str | os.PathLike[str]) -> tuple[keras.Model, NetworkConfig]:
    """Rebuild the network in a file that `save` wrote, on any backend.

    Returns:
        The model, as from `build`, and its description.

    Raises:
        ModelError: if there is no such file, it is damaged or not ours, or its tensors are not those of its network.
    """
    if not Path(path).is_file():
        raise ModelError(f"a network is a .safetensors file, {path} is none. trill.networks.saving.save writes one.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            if header is None:
                raise ModelError(f"{path} holds tensors without our header. Write it with trill.networks.saving.save.")
            config = NetworkConfig.from_json(header)
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 it cannot be iterated
            _check_claims(config, sum(math.prod(s.get_shape()) for s in slices.values()), str(path))
            model = build(config)
            _check({name: _kind(s.get_shape(), s.get_dtype()) for name, s in slices.items()}, model, str(path))
            for name, variable in _variables(model).items():
                variable.assign(file.get_tensor(name))
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is no sound safetensors file: {error}. Copy or download it again.") from error
    return model, config


def _variables(model: keras.Model) -> dict[str, Any]:
    """The variables by layer and name, which do not depend on what else was built in the process."""
    return {variable.path: variable for variable in model.weights}


def _check_claims(config: NetworkConfig, num_values: int, where: str) -> None:
    """A layer of n units has at least n weights: larger claims are refused before they take memory."""
    for name, value in config.arguments.items():
        if isinstance(value, int) and value > max(num_values, HARMLESS):
            raise ModelError(
                f"{name} of {where} must be at most the {num_values} values in the file, got {value}. "
                "Copy or download it again."
            )


def _kind(shape: Sequence[int], dtype: str = "F32") -> str:
    return f"{dtype} {tuple(shape)}"


def _check(found: dict[str, str], model: keras.Model, where: str) -> None:
    expected = {name: _kind(variable.shape) for name, variable in _variables(model).items()}
    problems = [
        f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'known')}"
        for name in expected | found
        if found.get(name) != expected.get(name)
    ]
    if problems:
        listed = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ModelError(
            f"the tensors of {where} must be those of the network, got: {listed}. "
            "Save it with the NetworkConfig that it was built from."
        )


def _names(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]
