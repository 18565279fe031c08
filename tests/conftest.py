"""A small network, saved and exported once: most tests need a model, few the packaged one."""

import dataclasses
from pathlib import Path

import pytest

import trill


@dataclasses.dataclass(frozen=True)
class Tiny:
    network: object
    config: object
    tflite: Path
    safetensors: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A tenth of a mobilenet with random weights."""
    import keras

    from export.tflite import export_network
    from trill.networks.saving import NetworkConfig, build, save

    folder = tmp_path_factory.mktemp("tiny")
    config = NetworkConfig("mobilenet", {"width": 0.1}, name="tiny", version="1.2", licence="Apache-2.0")
    keras.utils.set_random_seed(0)
    made = Tiny(build(config), config, folder / "tiny.tflite", folder / "tiny.safetensors")
    export_network(made.network, config, made.tflite)
    save(made.network, config, made.safetensors)
    return made


@pytest.fixture(scope="session")
def embedder(tiny):
    return trill.load(tiny.tflite)
