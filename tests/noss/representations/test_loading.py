"""Representations by name: what each text gives, and what a text that gives nothing says."""

import random
import sys
import textwrap
import types

import numpy as np
import pytest

import trill
from noss.representations import PREFIXES, describe, load_representation
from noss.representations.fingerprint import fingerprint
from tests.sounds import noise
from trill.representation import Representation

WAVEFORM = noise(16_000).astype(np.float32)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of this text into the current folder; gives its name."""
    monkeypatch.chdir(tmp_path)
    made = []

    def write(text):
        name = f"made_for_test_{len(made)}_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{name}.py").write_text("import numpy as np\n" + textwrap.dedent(text))
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


def test_our_models_by_name_path_and_tap(tiny):
    assert load_representation("mobilenet").name == trill.load("mobilenet").name
    assert load_representation("mobilenet@final").tap == "final"
    assert load_representation(str(tiny.tflite)).tap == "embedding"
    assert load_representation(f"{tiny.tflite}@block5").name == trill.load(tiny.tflite, tap="block5").name
    assert load_representation(str(tiny.safetensors)).embed_windows(WAVEFORM).ndim == 2
    with pytest.raises(ValueError, match=r"tap must be one of embedding, .* got 'no'"):
        load_representation("mobilenet@no")
    with pytest.raises(trill.ModelError, match=r"none\.tflite is not there"):
        load_representation("none.tflite")


def test_a_file_with_an_at_in_its_name(tiny, tmp_path):
    path = tmp_path / "a@b.tflite"
    path.write_bytes(tiny.tflite.read_bytes())
    assert load_representation(str(path)).tap == "embedding"
    assert load_representation(f"{path}@final").tap == "final"


def test_an_untrained_network_is_known_by_its_seed():
    pytest.importorskip("trill.networks.keras_model")  # importing Keras draws from Python's generator, loading does not
    state = random.getstate()
    first = load_representation("random:mobilenet")
    assert random.getstate() == state
    assert first.embed_windows(WAVEFORM).shape == (1, 512)
    assert fingerprint(load_representation("random:mobilenet#0")) == fingerprint(first)
    other = load_representation("random:mobilenet#1@block5")
    assert other.name.startswith("random-mobilenet-1")
    assert other.tap == "block5"
    assert fingerprint(other.using(tap="embedding")) != fingerprint(first)
    for wrong in ("random:resnet", "random:mobilenet#x", "random:@final"):
        with pytest.raises(ValueError, match=rf"with one of mobilenet, .* got {wrong}"):
            load_representation(wrong)


@pytest.mark.slow
def test_an_untrained_resnetish_has_the_papers_layer():
    assert load_representation("random:resnetish@layer19").embed_windows(WAVEFORM).shape == (1, 12_288)


@pytest.mark.parametrize("spec", ["log-mel", "mfcc", "mobilenet", "mfcc-13-delta"])
def test_what_is_loaded_meets_the_contract(spec):
    found = load_representation(spec)
    assert isinstance(found, Representation)
    assert found.embed_windows(WAVEFORM).dtype == np.float32
    assert load_representation(found) is found


def test_a_function_by_name(module):
    name = module(
        """
        def loudness(waveform):
            return [np.abs(waveform).mean(), waveform.std()]

        def frames(waveform):
            return waveform[: len(waveform) // 10 * 10].reshape(-1, 10)
        frames.sample_rate, frames.version, frames.threads = 8000, "2", 3

        class Object:
            name, sample_rate = "object-3", 22050
            def embed_windows(self, waveform):
                return waveform[None, :5]
        """
    )
    loudness, frames = load_representation(f"{name}:loudness"), load_representation(f"{name}.py:frames")
    assert (loudness.name, loudness.sample_rate, loudness.threads) == (f"{name}:loudness", 16_000, 1)
    assert loudness.embed_windows(WAVEFORM).shape == (1, 2)
    assert (frames.name, frames.sample_rate, frames.threads) == (f"{name}.py:frames-2", 8_000, 3)
    assert frames.embed_windows(WAVEFORM).shape == (1_600, 10)
    assert load_representation(f"{name}:Object").name == "object-3"


def test_a_function_or_object_itself():
    assert load_representation(lambda x: x[:3]).embed_windows(WAVEFORM).shape == (1, 3)

    class WithRate:
        sample_rate, name = 16_000.5, "half"

        def __call__(self, waveform):
            return waveform

    with pytest.raises(ValueError, match=r"sample_rate must be a positive whole number of Hz, half has 16000\.5"):
        load_representation(WithRate())
    with pytest.raises(ValueError, match=r"or a function, got int\. Texts:"):
        load_representation(3)


HEAR = """
    class Model:
        sample_rate = 8000
        def __init__(self, weights): self.weights = weights
    def load_model(weights="none"):
        return Model(weights)
    def get_timestamp_embeddings(audio, model):
        assert audio.shape[0] == 1
        return np.ones((1, audio.shape[1] // 1000, 4)) * len(model.weights), np.zeros((1, audio.shape[1] // 1000))
    __version__ = "1.5"
"""


def test_hear(module):
    name = module(HEAR)
    plain, weighed = load_representation(f"hear:{name}"), load_representation(f"hear:{name}:12345.pt")
    assert (plain.name, plain.sample_rate) == (f"hear:{name}-1.5", 8_000)
    assert plain.embed_windows(WAVEFORM).shape == (16, 4)
    assert weighed.name == f"hear:{name}:12345.pt-1.5"
    assert (weighed.embed_windows(WAVEFORM) == 8).all()
    assert load_representation(sys.modules[name]).name == plain.name


def test_hear_of_scenes_alone_and_of_neither(module):
    scenes = """
        def load_model():
            return type("Model", (), {"sample_rate": 16000})
        def get_scene_embeddings(audio, model):
            return audio[:, :4]
    """
    np.testing.assert_array_equal(
        load_representation(f"hear:{module(scenes)}").embed_windows(WAVEFORM), WAVEFORM[None, :4]
    )
    with pytest.raises(ValueError, match="a HEAR module has load_model and get_timestamp_embeddings"):
        load_representation(f"hear:{module('')}")


def test_our_own_hear_module():
    found = load_representation("hear:trill.hear:mobilenet")
    assert found.embed_windows(WAVEFORM).shape == (21, 1152)


def test_xares(module):
    name = module(
        """
        class DashEncoder:
            sampling_rate, output_dim, hop_size_in_ms = 16000, 6, 40
            training = True
            def eval(self): self.training = False
            def __call__(self, audio):
                assert not self.training
                return np.ones((audio.shape[0], audio.shape[1] // 640, 6))

        class WrongEncoder(DashEncoder):
            output_dim = 7

        class NoEncoder:
            sampling_rate = 16000
        """
    )
    found = load_representation(f"xares:{name}:DashEncoder")
    assert found.embed_windows(WAVEFORM).shape == (25, 6)
    assert load_representation(sys.modules[name].DashEncoder()).embed_windows(WAVEFORM).shape == (25, 6)
    with pytest.raises(ValueError, match=r"output must be \[1, T, 7\]"):
        load_representation(f"xares:{name}:WrongEncoder").embed_windows(WAVEFORM)
    with pytest.raises(ValueError, match="an X-ARES encoder has sampling_rate and output_dim"):
        load_representation(f"xares:{name}:NoEncoder")


MAEB = """
    class Model:
        sampling_rate = 24000
        def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
            assert "audio" in inputs.dataset.features
            assert {clip["sampling_rate"] for batch in inputs for clip in batch["audio"]} == {24000}
            return np.array([clip["array"][:5] for batch in inputs for clip in batch["audio"]])
"""


def test_maeb(module, monkeypatch):
    name = module(MAEB)
    found = load_representation(f"maeb:{name}:Model")
    assert found.sample_rate == 24_000
    np.testing.assert_array_equal(found.embed_windows(WAVEFORM), WAVEFORM[None, :5])
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(trill.TrillError, match=r"mteb is needed and not installed.*pip install 'mteb\[audio\]'"):
        load_representation("maeb:google/yamnet")
    mteb = types.ModuleType("mteb")
    mteb.get_model = lambda name: sys.modules[found.name.split(":")[1]].Model()
    monkeypatch.setitem(sys.modules, "mteb", mteb)
    assert load_representation("maeb:google/yamnet").name == "maeb:google/yamnet"


def test_tensors_of_torch_go_in_and_out(module, monkeypatch):
    """Against the few names of torch that are touched: torch is no dependency."""
    log = []

    class Module:
        def parameters(self):
            return iter([types.SimpleNamespace(device="cuda:1")])

    class Tensor:
        def __init__(self, array, device="cpu"):
            self.array, self.device = array, device

        def to(self, device):
            return Tensor(self.array, device)

        def detach(self):
            return self

        def cpu(self):
            return Tensor(self.array)

        def numpy(self):
            assert self.device == "cpu"
            return self.array

    class NoGradients:
        def __enter__(self):
            log.append("in")

        def __exit__(self, *_):
            log.append("out")

    torch = types.SimpleNamespace(
        nn=types.SimpleNamespace(Module=Module), from_numpy=Tensor, inference_mode=NoGradients
    )
    monkeypatch.setitem(sys.modules, "torch", torch)

    class Encoder(Module):
        sampling_rate, output_dim, hop_size_in_ms = 16_000, 3, 10

        def __call__(self, audio):
            assert log == ["in"]
            return Tensor(audio.array[:, :300].reshape(1, 100, 3), audio.device)

    assert load_representation(Encoder()).embed_windows(WAVEFORM).shape == (100, 3)
    assert log == ["in", "out"]


@pytest.mark.parametrize("spec", ["", "mobilnet", "log-mell", "no/such/file", "mobilenet:x/y"])
def test_an_unknown_text_lists_what_there_is(spec):
    with pytest.raises(ValueError, match=r"a representation must be one of these") as refused:
        load_representation(spec)
    for known in ("mobilenet", "mfcc", "MODULE:FUNCTION", *PREFIXES):
        assert known in str(refused.value)
    assert describe() in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module:f", r"no_such_module gave ModuleNotFoundError.*Install it, or change into"),
        ("math:no", r"math:no must name something in math, which has acos, "),
        ("hear:", "hear: must be followed by MODULE"),
        ("random:", "random: must be followed by ARCHITECTURE"),
        ("opensmile:GeMAPS", r"must be one of ComParE_2016, eGeMAPSv02, got 'GeMAPS'"),
        ("yamnet:nowhere@top", r"a folder with saved_model\.pb, nowhere is none"),
        ("yamnet:nowhere@middle", "yamnet has the taps top, layer10, layer7, got 'middle'"),
        ("vggish@layer10", "vggish has the taps top, fcn1, got 'layer10'"),
    ],
)
def test_what_is_wrong_with_a_text(spec, message):
    with pytest.raises(ValueError, match=message):
        load_representation(spec)
