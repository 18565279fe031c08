"""What must hold for every encoder. A new one adds its rows."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from export.tflite import convert_network
from trill.errors import ModelError
from trill.networks.counting import multiply_adds
from trill.networks.frontend import FRONTENDS
from trill.networks.mobilenet import mobilenet
from trill.networks.mobilenet_v3 import mobilenet_v3
from trill.networks.resnetish import resnetish
from trill.networks.saving import ARCHITECTURES, NetworkConfig, build, load, save


@dataclasses.dataclass(frozen=True)
class Row:
    architecture: str
    arguments: dict
    taps: dict  # name -> shape of one window
    frontend: str = "trill"

    @property
    def config(self):
        return NetworkConfig(self.architecture, self.arguments, FRONTENDS[self.frontend], name="conformance")


# Narrow, to be fast; the sizes of the full networks are tested below.
ROWS = {
    "mobilenet": Row(
        "mobilenet",
        {"width": 0.25},
        {"embedding": (128,), "final": (6, 4, 128), "block5": (12, 8, 64)},
    ),
    "mobilenet-time": Row(
        "mobilenet",
        {"width": 0.25, "pooling": "time", "batch_norm": True},
        {"embedding": (512,), "final": (6, 4, 128), "block5": (12, 8, 64)},
    ),
    "mobilenet-kept": Row(
        "mobilenet",
        {"width": 0.25, "pooling": "time", "batch_norm": True, "kept": [0, 7, 300, 511]},
        {"embedding": (4,), "final": (6, 4, 128), "block5": (12, 8, 64)},
    ),
    "mobilenet-flatten-2s": Row(
        "mobilenet",
        {"width": 0.125, "pooling": "flatten", "bottleneck": 16},
        {"embedding": (16,), "final": (13, 5, 64), "block5": (25, 10, 32)},
        frontend="trillsson",
    ),
    "mobilenet_v3-tiny": Row(
        "mobilenet_v3",
        {"size": "tiny", "width": 0.25, "bottleneck": 32},
        {"embedding": (32,), "final": (3, 2, 144)},
    ),
    "mobilenet_v3-small-bias": Row(
        "mobilenet_v3",
        {"size": "small", "width": 0.25, "batch_norm": False},
        {"embedding": (144,), "final": (3, 2, 144)},
    ),
    "mobilenet_v3-large": Row(
        "mobilenet_v3",
        {"size": "large", "width": 0.25, "pooling": "time"},
        {"embedding": (480,), "final": (3, 2, 240)},
    ),
    "resnetish": Row(
        "resnetish",
        {"width": 0.125, "bottleneck": 32, "normalize": True},
        {"embedding": (32,), "layer19": (6, 4, 64)},
    ),
    "resnetish-layer19": Row("resnetish", {"width": 0.125, "taps": ["layer19"]}, {"layer19": (6, 4, 64)}),
}
each_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def waveforms(row, count=3):
    rng = np.random.default_rng(1)
    return rng.normal(0, 0.1, (count, row.config.frontend.window_samples)).astype(np.float32)


def run(model, waveform):
    return {name: keras.ops.convert_to_numpy(tap) for name, tap in model(waveform, training=False).items()}


@functools.cache
def network(name):
    """A row's network with no weight at its initial 0 or 1, so that a lost one shows."""
    keras.utils.set_random_seed(0)
    model = build(ROWS[name].config)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        value = variable.numpy()
        variable.assign(value + rng.uniform(0.01, 0.1, value.shape) if value.ndim == 1 else value)
    return model


def of(row):
    return network(next(name for name, other in ROWS.items() if other is row))


def test_every_architecture_has_a_row():
    assert {row.architecture for row in ROWS.values()} == set(ARCHITECTURES)


@each_row
def test_taps_have_their_shapes(row):
    assert {name: tap.shape[1:] for name, tap in run(of(row), waveforms(row)).items()} == row.taps


@each_row
def test_the_encoder_stands_alone(row):
    encoder = of(row).get_layer(row.architecture)
    log_mel = of(row).get_layer("frontend")(waveforms(row))
    alone = run(encoder, log_mel)
    for name, tap in run(of(row), waveforms(row)).items():
        np.testing.assert_array_equal(alone[name], tap)


@each_row
def test_same_seed_same_network_same_output(row):
    outputs = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        outputs.append(run(build(row.config), waveforms(row)))
    for name in row.taps:
        np.testing.assert_array_equal(outputs[0][name], outputs[1][name])
        assert np.isfinite(outputs[0][name]).all()
        assert outputs[0][name].std(axis=0).max() > 1e-5, "an untrained network must tell sounds apart"


@each_row
def test_neighbours_in_a_batch_change_nothing(row):
    batch = waveforms(row)
    together, alone = run(of(row), batch), run(of(row), batch[1:2])
    for name in row.taps:
        np.testing.assert_allclose(together[name][1:2], alone[name], rtol=1e-5, atol=1e-5 * np.abs(alone[name]).max())


def test_kept_values_are_those_of_the_whole_embedding():
    few, every = network("mobilenet-kept"), build(ROWS["mobilenet-time"].config)
    every.set_weights(few.get_weights())
    x = waveforms(ROWS["mobilenet-time"])
    np.testing.assert_array_equal(run(few, x)["embedding"], run(every, x)["embedding"][:, [0, 7, 300, 511]])


@each_row
def test_a_saved_network_is_the_same_network(row, tmp_path):
    save(of(row), row.config, tmp_path / "network.safetensors")
    again, config = load(tmp_path / "network.safetensors")
    assert config == row.config
    for name, tap in run(again, waveforms(row)).items():
        np.testing.assert_array_equal(tap, run(of(row), waveforms(row))[name])


@each_row
def test_names_of_tensors_are_unique_and_do_not_count_networks(row):
    first, second = ([variable.path for variable in build(row.config).weights] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wdith": 1.0}, r"takes the arguments .*width, .*got \{'wdith': 1.0\}"),
        ({"mel_bands": 32}, "multiple values for keyword argument 'mel_bands'"),
        ({"width": 3.0}, r"width must be in \(0, 2\], got 3.0"),
        ({"width": "wide"}, "not supported between"),
        ({"width": 0.1, "bottleneck": 0}, "bottleneck must be a positive size or None, got 0"),
        *(
            ({"width": 0.1, "bottleneck": 9, "kept": kept}, r"kept must be ascending whole numbers from 0 to 8, got ")
            for kept in ([], [1, 0], [2, 2], [-1], [9], [True], [0.5], ["0"], list(range(10**6)))
        ),
    ],
)
def test_arguments_are_checked(architecture, arguments, message):
    with pytest.raises(ModelError, match=message):
        build(NetworkConfig(architecture, arguments))


@each_row
def test_export_equals_keras(row):
    interpreter = Interpreter(model_content=convert_network(of(row)))
    waveform = waveforms(row, count=1)
    exported = interpreter.get_signature_runner()(waveform=waveform)
    expected = run(of(row), waveform)
    assert exported.keys() == expected.keys()
    for name, tap in expected.items():
        np.testing.assert_allclose(exported[name], tap, atol=1e-4 * np.abs(tap).max())


@pytest.mark.parametrize(
    ("encoder", "parameters", "trainable", "arithmetic"),
    [
        (mobilenet, 1_605_184, 1_605_184, 59_111_424),
        (functools.partial(mobilenet, batch_norm=True), 1_627_264, 1_612_544, 59_111_424),
        (functools.partial(resnetish, taps=["layer19"]), 9_046_528, 9_046_528, 1_504_051_200),
        (functools.partial(resnetish, bottleneck=None), 23_475_200, 23_475_200, 1_850_081_280),
        (resnetish, 23_475_200 + 2049 * 512, 23_475_200 + 2049 * 512, 1_850_081_280 + 2048 * 512),
    ],
)
def test_sizes_are_the_published_ones(encoder, parameters, trainable, arithmetic):
    model = encoder()
    assert model.count_params() == parameters
    assert sum(np.prod(variable.shape) for variable in model.trainable_weights) == trainable
    assert multiply_adds(model) == arithmetic


@pytest.mark.parametrize(
    ("size", "published"),
    [("small", keras.applications.MobileNetV3Small), ("large", keras.applications.MobileNetV3Large)],
)
def test_mobilenet_v3_is_the_size_of_keras_own(size, published):
    ours = mobilenet_v3(size=size)
    theirs = published(input_shape=(96, 64, 1), include_top=False, weights=None, include_preprocessing=False)
    assert ours.count_params() == theirs.count_params()
    assert multiply_adds(ours) == multiply_adds(theirs)
    assert ours.output["final"].shape == theirs.output.shape


def test_tiny_lacks_two_blocks_of_small():
    small, tiny = mobilenet_v3(size="small"), mobilenet_v3(size="tiny")
    assert small.output["final"].shape == tiny.output["final"].shape
    assert (small.count_params(), tiny.count_params()) == (938_832, 611_768)


def test_normalize_gives_length_one():
    embedding = run(network("resnetish"), waveforms(ROWS["resnetish"]))["embedding"]
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("build_it", "message"),
    [
        (lambda: mobilenet(pooling="max"), "pooling must be one of average, time, flatten, got 'max'"),
        (lambda: mobilenet_v3(size="huge"), "size must be one of tiny, small, large, got 'huge'"),
        (lambda: resnetish(taps=["layer20"]), r"taps must be some of embedding, layer19, got \['layer20'\]"),
        (lambda: resnetish(taps=[]), "taps must be some of"),
    ],
)
def test_encoders_say_what_they_take(build_it, message):
    with pytest.raises(ValueError, match=message):
        build_it()


def test_counting_refuses_what_it_does_not_know():
    inputs = keras.Input((4, 2))
    with pytest.raises(ValueError, match="counted for convolutions and dense layers, got LSTM"):
        multiply_adds(keras.Model(inputs, keras.layers.LSTM(2)(inputs)))
