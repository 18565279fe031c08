"""Networks that learned nothing: how much of a score is the architecture's alone."""

import contextlib
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import trill
from trill.embedder import Embedder
from trill.errors import optional


def load_untrained(what: str, threads: int | None = None) -> Embedder:
    """A network with random weights.

    Args:
        what: `ARCHITECTURE`, `ARCHITECTURE@TAP` or, for other weights than those of seed 0, `ARCHITECTURE#SEED@TAP`.
        threads: as for `trill.load`.

    Raises:
        ValueError: if there is no such architecture or tap, or the seed is no whole number.
        MissingPackageError: if Keras is not installed.
    """
    for package in ("keras", "safetensors"):
        optional(package, "train")
    from trill.networks.saving import ARCHITECTURES, NetworkConfig, build, save

    network, _, tap = what.partition("@")
    architecture, _, seed = network.partition("#")
    if architecture not in ARCHITECTURES or not (seed or "0").isdecimal():
        raise ValueError(
            f"an untrained network is random:ARCHITECTURE or random:ARCHITECTURE#SEED@TAP with one of "
            f"{', '.join(ARCHITECTURES)} and a whole number, got random:{what}."
        )
    config = NetworkConfig(architecture, name=f"random-{architecture}", version=seed or "0", licence="none")
    with _seeded(int(seed or "0")), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        save(build(config), config, path)
        return trill.load(path, tap=tap or "embedding", threads=threads)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Keras draws from this seed; Python's and NumPy's generators, which it seeds too, are given back as they were."""
    import keras

    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
