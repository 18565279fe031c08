"""One file of each mode, made when first asked for."""

import functools

import pytest

from export.tflite import export_network


@pytest.fixture(scope="session")
def export(tiny, tmp_path_factory):
    """A function from a mode's name to a path and the card written there."""
    folder = tmp_path_factory.mktemp("export")

    @functools.cache
    def made(mode):
        return folder / f"{mode}.tflite", export_network(tiny.network, tiny.config, folder / f"{mode}.tflite", mode)

    return made
