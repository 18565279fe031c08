"""The packaged model is what its Keras weights export to."""

from pathlib import Path

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
    network, config = saving.load(WEIGHTS / f"{presets.locate(name).stem}.safetensors")
    assert card.source_sha256 == weights_sha256(network, config)
    again = export(network, config, tmp_path / "again.tflite", card.quantization)
    # The graph, byte for byte; figures and test vectors beside it are the exporting machine's, to its last digit.
    assert modelfile.read(tmp_path / "again.tflite")[0] == packaged
    assert again.identity == card.identity
    assert convert_network(network, "float32") != packaged
