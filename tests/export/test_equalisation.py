"""Equalisation changes nothing but the ranges, where it may."""

import numpy as np
import pytest

from export import equalisation, tflite
from export.flatbuffer import operators, unpack
from export.quantization import representative_windows
from export.tflite import Form, convert_network, export_network
from export.verification import interpreters, probes, run
from tests.export.networks import one_is_huge
from trill.networks.saving import NetworkConfig, build


@pytest.fixture(scope="module")
def windows():
    return representative_windows(None, 15_600, 16_000)[::5]


def equalised(network, windows):
    before = convert_network(network)
    return before, equalisation.equalise(before, [row[None] for row in windows])


def spread(flatbuffer, windows):
    """Of each tensor that may be scaled, the loudest channel against the median."""
    tensors = [pair.tensor for pair in equalisation._pairs(unpack(flatbuffer))]
    channels = equalisation._loudest(flatbuffer, tensors, [row[None] for row in windows])
    return np.array([row.max() / np.median(row[row > 0]) for row in channels])


def test_it_computes_the_same_with_ranges_more_alike(tiny, windows):
    before, after = equalised(tiny.network, windows)
    sounds = np.stack(list(probes(15_600, 16_000).values()))
    taps = list(tiny.network.output)
    for make in interpreters().values():
        one, other = run(before, sounds, make, taps), run(after, sounds, make, taps)
        for tap in taps:
            np.testing.assert_allclose(other[tap], one[tap], rtol=1e-4, atol=1e-5 * np.abs(one[tap]).max())
    assert (spread(after, windows) < spread(before, windows)).mean() > 0.9


def test_taps_keep_their_scale(tiny):
    """What a user sees, and what two layers take, is not scaled: stem and 11 blocks of two, less two taps."""
    model = unpack(convert_network(tiny.network))
    assert len(list(equalisation._pairs(model))) == 21
    embedding_only = unpack(convert_network(tiny.network, form=Form(["embedding"])))
    assert len(list(equalisation._pairs(embedding_only))) == 22


@pytest.mark.parametrize("architecture", ["resnetish", "mobilenet_v3"])
def test_networks_that_add_and_multiply(architecture, windows):
    arguments = {"width": 0.125} if architecture == "resnetish" else {}
    network = build(NetworkConfig(architecture, arguments))
    before, after = equalised(network, windows)
    sounds = np.stack(list(probes(15_600, 16_000).values()))[::3]
    make = next(iter(interpreters().values()))
    one, other = (run(each, sounds, make, ["embedding"])["embedding"] for each in (before, after))
    np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * np.abs(one).max())
    names = operators(unpack(after))
    assert "ADD" in names
    assert len(list(equalisation._pairs(unpack(after)))) >= 4


def test_a_huge_channel_that_nobody_hears_costs_no_bits(tiny, tmp_path):
    network = one_is_huge(tiny, "stem", "block1_depthwise")
    written = export_network(network, tiny.config, tmp_path / "model.tflite", "int8")
    plain = export_network(tiny.network, tiny.config, tmp_path / "plain.tflite", "int8")
    error = written.verification["embedding, speech"]["error"]
    assert error < 2 * plain.verification["embedding, speech"]["error"]


def test_silence_divides_nothing(tiny):
    silence = np.zeros((1, 1, 15_600), np.float32)
    after = equalisation.equalise(convert_network(tiny.network), silence)
    found = run(after, silence[0], next(iter(interpreters().values())), ["embedding"])["embedding"]
    expected = tflite.outputs_of(tiny.network, ["embedding"], silence[0])["embedding"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_files_that_take_any_length(tiny, tmp_path):
    form = Form(["embedding"], dynamic=True)
    written = export_network(tiny.network, tiny.config, tmp_path / "model.tflite", "int8", form=form)
    assert written.dynamic
    assert written.verification["embedding, speech"]["error"] < 0.15
