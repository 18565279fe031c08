"""A file that learns on the phone: its head is the definition, its embedding the plain file's, its state portable."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import interpreter as tf_lite
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

import trill
from export import signatures
from export.signatures import export_personal
from export.tflite import Form, export_network
from export.verification import verify_file
from tests.oracles.softmax_head import SoftmaxHead
from tests.sounds import encode, noise, tone
from trill import modelfile
from trill.errors import ModelError
from trill.networks.saving import build

EXAMPLE = Path(__file__).parents[1] / "examples" / "personalize_on_device.py"
CLASSES, BATCH, DIM = 5, 4, 51
STATE = ("weights", "bias", "weights_velocity", "bias_velocity", "active")
pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")


@pytest.fixture(scope="module")
def file(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("personal") / "personal.tflite"
    export_personal(tiny.network, tiny.config, path, num_classes=CLASSES, batch=BATCH)
    return path


def open_file(path):
    """The signatures of a new interpreter."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    return {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}


def state_of(file):
    return file["get_weights"](unused=np.float32(0))


def train(file, embeddings, labels, sample_weights=None, learning_rate=1.0, momentum=0.9, weight_decay=0.01):
    """One step on up to BATCH rows, padded with noise of weight 0."""
    missing = BATCH - len(labels)
    sample_weights = np.ones(len(labels)) if sample_weights is None else sample_weights
    return file["train"](
        embeddings=np.concatenate([embeddings, noise((missing, DIM), seed=len(labels))]).astype(np.float32),
        labels=np.array([*labels, *[-1] * missing], np.int32),
        sample_weights=np.array([*sample_weights, *[0] * missing], np.float32),
        learning_rate=np.float32(learning_rate),
        momentum=np.float32(momentum),
        weight_decay=np.float32(weight_decay),
    )["loss"]


def some_state():
    """Any state, all classes active."""
    shapes = dict.fromkeys(STATE, (CLASSES,)) | dict.fromkeys(("weights", "weights_velocity"), (CLASSES, DIM))
    state = {name: noise(shape, seed).astype(np.float32) for seed, (name, shape) in enumerate(shapes.items())}
    return state | {"active": np.ones(CLASSES, np.float32)}


def same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].tobytes() == array.tobytes(), name


def lesson(num_steps=200):
    """Batches of a course: voices around five centres, of any length, weights and rates that change, some padding."""
    generator = np.random.default_rng(0)
    centres = generator.random((CLASSES, DIM))
    for step in range(num_steps):
        labels = generator.integers(-1, CLASSES, BATCH)
        embeddings = generator.uniform(0.1, 10) * (centres[labels] + 0.3 * generator.random((BATCH, DIM)))
        rates = {"learning_rate": 1 / (1 + step / 50), "momentum": 0.9 if step < 150 else 0.5, "weight_decay": 1e-3}
        yield {
            "embeddings": embeddings.astype(np.float32),
            "labels": labels.astype(np.int32),
            "sample_weights": (generator.integers(0, 3, BATCH) / 2).astype(np.float32),
            **{name: np.float32(rate) for name, rate in rates.items()},
        }


def attend(path, interpreter_class, lesson, active):
    """Every number the file gives in the course of a lesson. Needs NumPy and the interpreter alone."""
    interpreter = interpreter_class(model_path=str(path))
    runners = {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}
    embedding = runners["embed"](waveform=np.sin(np.arange(15600, dtype=np.float32))[None])
    state = runners["get_weights"](unused=np.float32(0)) | {"active": np.array(active, np.float32)}
    num_active = runners["set_weights"](**state)
    losses = [runners["train"](**batch)["loss"] for batch in lesson]
    answers = [runners["infer"](embedding=row[None]) for row in lesson[-1]["embeddings"]]
    return {
        **embedding,
        **num_active,
        **runners["get_weights"](unused=np.float32(0)),
        "loss": np.array(losses),
        **{name: np.concatenate([answer[name] for answer in answers]) for name in ("scores", "probabilities")},
    }


@pytest.fixture(scope="module", params=[[1, 1, 1, 1, 1], [1, 0, 1, 1, 0]], ids=["all active", "two inactive"])
def course(request):
    """A lesson of 200 steps, the active classes, and what the definition makes of them."""
    steps, oracle = list(lesson()), SoftmaxHead(CLASSES, DIM)
    oracle.active[:] = request.param
    losses = [oracle.train(**batch) for batch in steps]
    answers = [oracle.infer(row) for row in steps[-1]["embeddings"]]
    expected = {name: getattr(oracle, name) for name in STATE} | {"loss": losses, "num_active": sum(request.param)}
    expected |= {"scores": [scores for scores, _ in answers], "probabilities": [p for _, p in answers]}
    return steps, request.param, expected


def check_course(found, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("interpreter_class", [Interpreter, tf_lite.Interpreter], ids=["LiteRT", "tf.lite"])
def test_two_hundred_steps_are_the_definition(file, course, interpreter_class):
    steps, active, expected = course
    check_course(attend(file, interpreter_class, steps, active), expected)
    assert sum(expected["loss"][-20:]) < sum(expected["loss"][:20]) / 2, "a lesson worth its name"


@pytest.mark.slow
def test_two_hundred_steps_in_tflite_2_16_1(file, course, classic_python, tmp_path):
    """The interpreter of the last classic Android package."""
    steps, active, expected = course
    np.savez(
        tmp_path / "lesson.npz",
        **{f"{i}/{name}": value for i, step in enumerate(steps) for name, value in step.items()},
    )
    script = f"""
import sys, numpy as np, tensorflow as tf
{inspect.getsource(attend)}
stored, steps = np.load("lesson.npz"), {{}}
for key in stored:
    index, name = key.split("/")
    steps.setdefault(int(index), {{}})[name] = stored[key]
assert tf.__version__ == "2.16.1"
np.savez("found.npz", **attend(sys.argv[1], tf.lite.Interpreter, list(steps.values()), {active}))
"""
    subprocess.run([classic_python, "-c", script, file], cwd=tmp_path, check=True)
    found = np.load(tmp_path / "found.npz")
    check_course(found, expected)
    litert = attend(file, Interpreter, steps, active)["embedding"]
    # Their kernels sum the front end's products in another order: 2e-5 was met.
    np.testing.assert_allclose(found["embedding"], litert, rtol=0, atol=5e-5 * np.abs(litert).max())


@pytest.fixture(scope="module")
def classic_python(tmp_path_factory):
    """A Python with TensorFlow 2.16.1, which has wheels up to Python 3.12."""
    if sys.version_info >= (3, 13):
        pytest.skip("TensorFlow 2.16.1 needs Python 3.12 at most")
    folder = tmp_path_factory.mktemp("classic")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "tensorflow-cpu==2.16.1", "numpy<2"], check=True)
    return python


def test_a_new_head_knows_nothing(file):
    runners = open_file(file)
    answer = runners["infer"](embedding=noise((1, DIM)).astype(np.float32))
    np.testing.assert_array_equal(answer["probabilities"], np.full((1, CLASSES), np.float32(1 / CLASSES)))
    expected = {name: np.zeros_like(value) for name, value in some_state().items()}
    same_bits(state_of(open_file(file)), expected | {"active": np.ones(CLASSES, np.float32)})


@pytest.mark.parametrize("padding", [1e3, -1e-3])
def test_rows_of_weight_zero_change_nothing(file, padding):
    """Whatever they hold and whatever their label, to the last bit."""
    x = noise((BATCH, DIM)).astype(np.float32)
    states = []
    for rest, label in ((x[2:], 2), (padding * x[:2], -1)):
        runners = open_file(file)
        runners["set_weights"](**some_state())
        train(runners, np.concatenate([x[:2], rest]), [0, 1, label, label], [1, 0.5, 0, 0])
        states.append(state_of(runners))
    same_bits(*states)


def test_inactive_classes_are_left_alone(file):
    state = some_state() | {"active": np.array([1, 1, 0, 1, 0], np.float32)}
    off, on = state["active"] == 0, state["active"] == 1
    runners, x = open_file(file), noise((BATCH, DIM)).astype(np.float32)
    assert runners["set_weights"](**state)["num_active"] == 3
    for _ in range(5):
        train(runners, x, [0, 1, 3, 0])
    after = state_of(runners)
    for name in STATE[:-1]:
        assert after[name][off].tobytes() == state[name][off].tobytes(), name
        assert (after[name][on] != state[name][on]).all(), name
    probabilities = runners["infer"](embedding=x[:1])["probabilities"][0]
    assert (probabilities[off] == 0).all()
    assert probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize("label", [2, -1, CLASSES, 2**31 - 1])
def test_a_label_outside_the_active_classes_is_padding(file, label):
    x, states = noise((BATCH, DIM)).astype(np.float32), []
    for labels, weights in (([0, 1, label], [1, 1, 1]), ([0, 1, 0], [1, 1, 0])):
        runners = open_file(file)
        runners["set_weights"](**some_state() | {"active": np.array([1, 1, 0, 1, 1], np.float32)})
        loss = train(runners, x[:3], labels, weights)
        assert np.isfinite(loss)
        states.append(state_of(runners))
    same_bits(*states)


def test_state_travels(file):
    """A second interpreter takes up the lesson where the first stopped, bit for bit; theirs are two states, not one."""
    first, second = open_file(file), open_file(file)
    steps = list(lesson(20))
    for batch in steps[:10]:
        first["train"](**batch)
    second["set_weights"](**state_of(first))
    same_bits(state_of(second), state_of(first))
    for batch in steps[10:]:
        first["train"](**batch)
    assert (state_of(second)["weights"] != state_of(first)["weights"]).any()
    for batch in steps[10:]:
        second["train"](**batch)
    same_bits(state_of(second), state_of(first))


@pytest.mark.parametrize("learning_rate", [0.01, 0.1, 1, 4])
@pytest.mark.parametrize("length", [1e-3, 1, 1e3])
def test_learns_at_every_rate_and_loudness(file, learning_rate, length):
    """Embeddings alike as real ones are: a cosine of 0.9 between classes."""
    runners = open_file(file)
    classes = length * (1 + noise((BATCH, DIM), level=0.5))
    losses = [train(runners, classes, range(BATCH), learning_rate=learning_rate, weight_decay=0) for _ in range(200)]
    assert losses[-1] < 0.9 * losses[0]
    assert max(losses) < 2 * losses[0]


def test_prototypes_are_a_state(file):
    """With unit vectors as weights the scores are cosines, and the nearest centroid answers."""
    centroids = noise((CLASSES, DIM))
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    state = {name: np.zeros_like(value) for name, value in some_state().items()}
    runners = open_file(file)
    active = np.array([1, 1, 1, 0, 0], np.float32)
    runners["set_weights"](**state | {"weights": centroids.astype(np.float32), "active": active})
    answer = runners["infer"](embedding=(7 * centroids[1:2]).astype(np.float32))
    np.testing.assert_allclose(answer["scores"][0], centroids @ centroids[1], atol=1e-6)
    assert answer["probabilities"].argmax() == 1


def test_silence_has_no_direction(file):
    """An embedding of zeros is scored by the bias alone."""
    runners = open_file(file)
    runners["set_weights"](**some_state())
    scores = runners["infer"](embedding=np.zeros((1, DIM), np.float32))["scores"]
    np.testing.assert_array_equal(scores[0], some_state()["bias"])


@pytest.mark.parametrize(
    ("quantization", "form"), [("float32", None), ("float16", None), ("int8", Form(["embedding"]))]
)
def test_is_a_model_like_any_other(tiny, tmp_path, quantization, form):
    """The embeddings are those of the plain file (in int8, of one of that tap), bit for bit; it vouches for itself."""
    path, plain = tmp_path / "personal.tflite", tmp_path / "plain.tflite"
    card = export_personal(tiny.network, tiny.config, path, num_classes=2, batch=1, quantization=quantization)
    assert verify_file(path)[0] == card
    assert (card.taps, card.quantization, card.name) == ({"embedding": (DIM,)}, quantization, "tiny")
    export_network(tiny.network, tiny.config, plain, quantization, form=form)
    waveform = noise(40_000, level=0.3).astype(np.float32)
    found, expected = (trill.embed(waveform, 16_000, model=file, pooling=None) for file in (path, plain))
    assert found.tobytes() == expected.tobytes()
    embedding = open_file(path)["embed"](waveform=waveform[None, :15_600])["embedding"]
    assert embedding.tobytes() == expected[0].tobytes()


def test_built_in_operators_only(file):
    model = flatbuffer_utils.convert_bytearray_to_object(modelfile.read(file)[0])
    codes = {max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes}
    assert schema.BuiltinOperator.CUSTOM not in codes
    assert codes > {schema.BuiltinOperator.ASSIGN_VARIABLE, schema.BuiltinOperator.BATCH_MATMUL}
    variables = [
        tuple(tensor.shape) for tensor in model.subgraphs[0].tensors if tensor.type == schema.TensorType.RESOURCE
    ]
    assert not variables, "embed has no state"


def test_same_network_same_bytes(tiny, file, tmp_path):
    export_personal(tiny.network, tiny.config, tmp_path / "again.tflite", num_classes=CLASSES, batch=BATCH)
    assert (tmp_path / "again.tflite").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, r"two classes and a batch of one, got 1 classes, a batch of 8"),
        ({"batch": 0}, r"two classes and a batch of one, got 16 classes, a batch of 0"),
        ({"quantization": "int3"}, r"quantization must be one of .*, got 'int3'"),
        ({"quantization": "int8-io"}, r"int8-io stores its input in 8 bits"),
    ],
)
def test_says_what_it_takes(tiny, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_personal(tiny.network, tiny.config, tmp_path / "personal.tflite", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def other(tiny):
    """The same network with other weights."""
    keras.utils.set_random_seed(1)
    return build(tiny.config)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("convert_network", r"must agree with its network"),
        ("convert_head", r"head must learn as .* to 1e-05, got .* at loss after"),
    ],
)
def test_a_conversion_that_went_wrong_is_not_written(tiny, other, tmp_path, monkeypatch, broken, message):
    convert = getattr(signatures, broken)

    def convert_badly(network_or_head, *args, **kwargs):
        flatbuffer = convert(other if broken == "convert_network" else network_or_head, *args, **kwargs)
        if broken == "convert_head":
            network_or_head.state["bias"].assign(np.arange(16, dtype=np.float32))
        return flatbuffer

    monkeypatch.setattr(signatures, broken, convert_badly)
    with pytest.raises(ModelError, match=message):
        export_personal(tiny.network, tiny.config, tmp_path / "personal.tflite")
    assert not list(tmp_path.iterdir())


def test_the_example_runs(file, tmp_path):
    """From the exported file alone; hum from hiss is much to ask of random weights, but the loss falls below chance."""
    rows = ["path,speaker"]
    for index in range(5):
        for speaker, sound in (("hum", tone(1, hertz=200 + index)), ("hiss", noise(16_000, seed=index))):
            rows.append(f"{speaker}{index}.wav,{speaker}")
            (tmp_path / rows[-1].split(",")[0]).write_bytes(encode(sound))
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    done = subprocess.run([sys.executable, EXAMPLE, file, tmp_path], capture_output=True, text=True, timeout=120)
    assert re.match(r"accuracy 50% untrained, \d+% trained; loss 0\.[0-6]", done.stdout), done.stderr
