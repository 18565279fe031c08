"""The verdict: what it measures, what it refuses, and that a file carries it along."""

import dataclasses
import io

import keras
import numpy as np
import pytest

from export import quantization, tflite, verification
from export.tflite import QUANTIZATIONS, export_network
from export.verification import check, compare, interpreters, pack_vectors, probes, verify_file
from tests.export.networks import one_is_huge
from trill import modelfile
from trill.errors import ModelError
from trill.networks.saving import build


def test_probes_are_what_int16_holds_and_always_the_same():
    for name, waveform in probes(15_600, 16_000).items():
        assert waveform.dtype == np.float32, name
        assert waveform.shape == (15_600,), name
        assert np.abs(waveform).max() <= 1, name
        np.testing.assert_array_equal(waveform * 32_768, np.round(waveform * 32_768))
        np.testing.assert_array_equal(waveform, probes(15_600, 16_000)[name])
    assert sum(name.startswith("speech") for name in probes(15_600, 16_000)) == 5
    assert np.abs(probes(15_600, 16_000)["clipping"]).max() == 1


def test_speech_that_verifies_did_not_calibrate():
    assert not any(voice in name for name in probes(15_600, 16_000) for voice in quantization.CALIBRATION_VOICES)


def test_compare_is_the_definition():
    rng = np.random.default_rng(0)
    expected = rng.standard_normal((3, 7))
    found = expected + 0.1 * rng.standard_normal((3, 7))
    rows = list(zip(found, expected, strict=True))
    agreement = compare(found, expected)
    assert agreement.error == pytest.approx(max(np.sqrt(sum((f - e) ** 2) / sum(e**2)) for f, e in rows))
    assert agreement.cosine == pytest.approx(min(f @ e / np.sqrt((f @ f) * (e @ e)) for f, e in rows))
    assert agreement.largest == pytest.approx(max(abs(f - e).max() for f, e in rows))
    assert agreement.mean == pytest.approx(max(abs(f - e).mean() for f, e in rows))
    assert agreement.cosine >= np.sqrt(1 - agreement.error**2), "what Quantization says of max_error"


def test_an_output_of_nothing_is_measured_by_the_others():
    expected = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert compare(expected, expected) == verification.Agreement(0.0, 1.0, 0.0, 0.0)
    assert compare(expected + np.array([[1e-6, 0], [0, 0]]), expected).error == pytest.approx(2e-4)
    assert compare(expected + np.array([[1.0, 0], [0, 0]]), expected).error > 100


def test_a_short_output_is_measured_by_its_reach():
    expected = np.array([[0.3, 0.4], [3.0, 4.0]])
    found = expected + np.array([[0.1, 0.0], [0.1, 0.0]])
    assert compare(found, expected).error == pytest.approx(0.2)
    assert compare(found, expected, np.array([2.0, 1.0])).error == pytest.approx(0.05)


def with_head(network, kernel, name="mood"):
    """The network, and a head beside its taps whose scores on a flat embedding are zero."""
    encoder = network.layers[-1]
    layer = keras.layers.Dense(kernel.shape[1], name=f"head_{name}")
    together = keras.Model(encoder.input, {**encoder.output, name: layer(encoder.output["embedding"])})
    layer.set_weights([kernel, np.zeros(kernel.shape[1])])
    waveform = keras.Input(network.input.shape[1:])
    return keras.Model(waveform, together(network.get_layer("frontend")(waveform)))


def test_a_head_is_held_to_what_it_could_say(tiny, tmp_path):
    """Its weights cancel on these embeddings: errors are large beside the scores, small beside what they could be."""
    sounds = np.stack(list(probes(15_600, 16_000).values()))
    embeddings = tflite.outputs_of(tiny.network, ["embedding"], sounds)["embedding"]
    kernel = np.random.default_rng(0).normal(size=(embeddings.shape[1], 3))
    kernel -= np.linalg.pinv(embeddings, rcond=1e-3) @ embeddings @ kernel
    network = with_head(tiny.network, kernel)
    scores = tflite.outputs_of(network, ["mood"], sounds)["mood"]
    reach = tflite.heads_reach(network, ["embedding", "mood"], sounds)
    assert set(reach) == {"mood"}
    assert (np.linalg.norm(scores, axis=1) < 0.01 * reach["mood"]).all()
    written = export_network(network, tiny.config, tmp_path / "model.tflite", "float16")
    assert written.verification["mood, speech"]["error"] < 0.006
    flatbuffer, _ = modelfile.read(tmp_path / "model.tflite")
    names = list(probes(15_600, 16_000))
    mode = QUANTIZATIONS["float16"]
    with pytest.raises(ModelError, match="at tap 'mood' on speech"):
        check(flatbuffer, names, sounds, {"mood": scores}, mode)
    with pytest.raises(ModelError, match="at tap 'mood' on speech"):
        check(flatbuffer, names, sounds, {"mood": scores + 0.01 * reach["mood"].min()}, mode, reach)


@pytest.fixture(scope="module")
def outputs(tiny):
    """Flatbuffer, names, inputs and what the network makes of them."""
    sounds = probes(15_600, 16_000)
    inputs = np.stack(list(sounds.values()))
    expected = tflite.outputs_of(tiny.network, ["embedding", "final"], inputs)
    return modelfile.read(tiny.tflite)[0], list(sounds), inputs, expected


def test_it_measures_each_tap_and_kind_of_sound(outputs):
    figures = check(*outputs, QUANTIZATIONS["float32"])
    assert set(figures) == {f"{t}, {kind}" for t in ("embedding", "final") for kind in ("speech", "test sounds")}
    assert all(0 < row["error"] <= 5e-4 and row["cosine"] > 0.999 for row in figures.values())


def test_every_interpreter_is_asked(outputs, monkeypatch):
    assert list(interpreters()) == ["LiteRT", "tf.lite"]
    honest = interpreters()["LiteRT"]
    asked = []

    def other(**options):
        asked.append(options["num_threads"])
        return honest(model_content=outputs[0][:100], num_threads=1)

    monkeypatch.setattr(verification, "interpreters", lambda: {"LiteRT": honest, "another": other})
    with pytest.raises(ModelError, match="the interpreter does not run this file"):
        check(*outputs, QUANTIZATIONS["float32"])
    assert asked == [1]


@pytest.mark.parametrize("kind", ["speech", "test sounds"])
def test_a_change_of_length_is_seen(outputs, kind):
    """Which a cosine would not."""
    flatbuffer, names, inputs, expected = outputs
    chosen = np.array([name.startswith("speech") == (kind == "speech") for name in names])
    longer = expected["final"] * np.where(chosen, 1.01, 1.0)[:, None]
    with pytest.raises(
        ModelError, match=rf"network to 0\.0005 of its length, got 0\.0099 at tap 'final' on {kind} in Li"
    ):
        check(flatbuffer, names, inputs, {**expected, "final": longer}, QUANTIZATIONS["float32"])


@pytest.fixture(scope="module")
def lopsided(tiny):
    """One channel of a tap is huge and unused: the network is as good as ever, eight bits of its range are not."""
    return one_is_huge(tiny, "block5_pointwise", "block6_depthwise", 1e3)


@pytest.mark.parametrize("mode", ["int8", "int8-dynamic"])
def test_integers_that_collapse_are_not_written(tiny, lopsided, tmp_path, mode):
    with pytest.raises(ModelError, match=r"must agree .* on speech in LiteRT\. A coarser quantization than .* bears"):
        export_network(lopsided, tiny.config, tmp_path / "model.tflite", mode)
    assert not list(tmp_path.iterdir())


def test_the_same_network_bears_float16(tiny, lopsided, tmp_path):
    export_network(lopsided, tiny.config, tmp_path / "model.tflite", "float16")


@pytest.mark.parametrize("mode", ["float32", "float16", "int8"])
def test_a_file_carries_its_verdict(export, mode):
    path, written = export(mode)
    card, figures = verify_file(path)
    assert card == written
    assert set(figures) == {"embedding, speech", "embedding, test sounds"}
    for kind, row in figures.items():
        assert row["error"] <= written.verification[kind]["error"], "some of the sounds, the same bounds"
    assert len(modelfile.read_attachment(path, verification.VECTORS)) < 100_000


def test_the_vectors_are_sound_and_the_networks(tiny):
    with np.load(io.BytesIO(modelfile.read_attachment(tiny.tflite, verification.VECTORS))) as vectors:
        assert vectors["names"].tolist() == ["silence", "sweep", "speech of dieter_calm"]
        assert (vectors["inputs"].dtype, vectors["inputs"].shape) == (np.int16, (3, 15_600))
        heard = tiny.network(vectors["inputs"] / np.float32(32_768), training=False)["embedding"]
        np.testing.assert_allclose(vectors["expected"], keras.ops.convert_to_numpy(heard), rtol=1e-4, atol=1e-5)


def test_another_networks_file_is_refused(tiny, tmp_path):
    """A sound file with vectors that are not its own."""
    flatbuffer, card = modelfile.read(tiny.tflite)
    sounds = probes(15_600, 16_000)
    inputs = np.stack(list(sounds.values()))
    keras.utils.set_random_seed(1)
    vectors = pack_vectors(list(sounds), inputs, tflite.outputs_of(build(tiny.config), ["embedding"], inputs))
    modelfile.write(tmp_path / "model.tflite", flatbuffer, card, {verification.VECTORS: vectors})
    with pytest.raises(ModelError, match="must agree with its network"):
        verify_file(tmp_path / "model.tflite")


@pytest.mark.parametrize(
    ("attachments", "message"),
    [
        ({}, r"no readable vectors\.npz.*Export it again"),
        ({verification.VECTORS: b"PK"}, r"no readable vectors\.npz.*Export it again"),
        ({verification.VECTORS: b"\x93NUMPY"}, r"no readable vectors\.npz.*Export it again"),
    ],
)
def test_a_file_without_vectors(tiny, tmp_path, attachments, message):
    flatbuffer, card = modelfile.read(tiny.tflite)
    modelfile.write(tmp_path / "model.tflite", flatbuffer, card, attachments)
    with pytest.raises(ModelError, match=message):
        verify_file(tmp_path / "model.tflite")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no readable vectors.npz"),
        ({"expected": np.zeros((2, 51), np.float32)}, "whose parts do not match"),
        ({"expected": np.zeros(3, np.float32)}, "whose parts do not match"),
        ({"tap": np.array("last")}, "does not run this file: 'last'"),
        ({"inputs": np.zeros((3, 5), np.int16)}, "does not run this file"),
        ({"names": np.array([{}, {}, {}], object)}, "no readable vectors.npz"),
    ],
)
def test_vectors_that_make_no_sense(tiny, tmp_path, arrays, message):
    flatbuffer, card = modelfile.read(tiny.tflite)
    with np.load(io.BytesIO(modelfile.read_attachment(tiny.tflite, verification.VECTORS))) as vectors:
        sound = dict(vectors)
    packed = io.BytesIO()
    np.savez(packed, **{**sound, **arrays} if arrays else {})
    modelfile.write(tmp_path / "model.tflite", flatbuffer, card, {verification.VECTORS: packed.getvalue()})
    with pytest.raises(ModelError, match=message):
        verify_file(tmp_path / "model.tflite")


def test_a_quantization_from_the_future(tiny, tmp_path):
    flatbuffer, card = modelfile.read(tiny.tflite)
    vectors = {verification.VECTORS: modelfile.read_attachment(tiny.tflite, verification.VECTORS)}
    card = dataclasses.replace(card, quantization="int2")
    modelfile.write(tmp_path / "model.tflite", flatbuffer, card, vectors)
    with pytest.raises(ValueError, match="quantization must be one of"):
        verify_file(tmp_path / "model.tflite")
