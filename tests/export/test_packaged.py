"""The packaged model is what its Keras weights export to."""

from pathlib import Path

import numpy as np
import pytest

import trill
from export.tflite import convert_network, weights_sha256
from export.tflite import export_network as export
from trill import modelfile, presets
from trill.networks import saving

WEIGHTS = Path(__file__).parents[2] / "recipes/weights"


@pytest.mark.parametrize("name", trill.list_models())
def test_the_packaged_file_is_its_weights_exported_again(name, tmp_path):
    packaged, card = modelfile.read(presets.locate(name))
    network, config = saving.load(WEIGHTS / f"{card.name}-{card.version}.safetensors")
    assert card.source_sha256 == weights_sha256(network, config)
    again = export(network, config, tmp_path / "again.tflite", card.quantization)
    exported = modelfile.read(tmp_path / "again.tflite")[0]
    if card.quantization == "int8":  # its ranges are measured: another machine's may differ in the last digit kept
        assert len(exported) == len(packaged)
        sound = trill.example("dieter_calm")
        ours, theirs = trill.embed(sound, model=name), trill.embed(sound, model=tmp_path / "again.tflite")
        assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(ours)
    else:
        # The graph, byte for byte; figures and test vectors beside it are the exporting machine's, to its last digit.
        assert exported == packaged
        assert again.identity == card.identity
    assert convert_network(network, "float32") != packaged
