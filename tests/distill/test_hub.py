"""Checkpoints in the hub's form: found, read, fingerprinted; hostile ones are in attacks/."""

import json
import sys
import types

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from distill.teachers import hub
from tests.distill.attacks.made import CONFIG, checkpoint, row, safetensors, sharded
from trill.errors import ModelError

RNG = np.random.default_rng(0)
TENSORS = {"x.weight": RNG.normal(size=(3, 4)).astype(np.float32), "x.bias": np.arange(3, dtype=np.float32)}


def saved(folder, tensors=TENSORS, config=CONFIG, **others):
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in others.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def split(folder, names=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    sharded(folder, dict(zip(TENSORS, names, strict=True)))
    for (tensor, value), name in zip(TENSORS.items(), names, strict=True):
        save_file({tensor: value}, folder / name)
    return folder


def assert_holds(found, tensors=TENSORS, atol=0.0):
    assert set(found.names()) == set(tensors)
    for name, value in tensors.items():
        assert found.tensor(name).dtype == np.float32
        np.testing.assert_allclose(found.tensor(name), value, rtol=0, atol=atol)


def test_one_file(tmp_path):
    preprocessor = {"sampling_rate": 16_000}
    found = hub.open_checkpoint(saved(tmp_path, preprocessor_config=preprocessor))
    assert (found.folder, found.config, found.preprocessor) == (tmp_path, CONFIG, preprocessor)
    assert_holds(found)
    assert found.tensors["x.weight"].shape == (3, 4)


def test_shards(tmp_path):
    found = hub.open_checkpoint(split(tmp_path))
    assert found.preprocessor == {}
    assert_holds(found)


@pytest.mark.parametrize(
    ("dtype", "kind", "atol"),
    [("F16", np.float16, 2e-3), ("BF16", ml_dtypes.bfloat16, 2e-2), ("F64", np.float64, 1e-7)],
)
def test_other_precisions_become_float32(dtype, kind, atol, tmp_path):
    value = TENSORS["x.weight"].astype(kind)
    data = value.tobytes()
    checkpoint(tmp_path, weights=safetensors({"x.weight": row(0, len(data), dtype, value.shape)}, data))
    found = hub.open_checkpoint(tmp_path)
    np.testing.assert_array_equal(found.tensor("x.weight"), value.astype(np.float32))
    assert_holds(found, {"x.weight": TENSORS["x.weight"]}, atol)


def test_a_tensor_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"must hold the tensor y, got x\.bias, x\.weight\. Copy or download it again"):
        hub.open_checkpoint(saved(tmp_path)).tensor("y")


def test_the_fingerprint_is_of_the_content(tmp_path):
    def fingerprint(name, tensors=TENSORS, config=CONFIG, **others):
        return hub.open_checkpoint(saved(tmp_path / name, tensors, config, **others)).fingerprint

    first = fingerprint("one")
    assert len(first) == 64
    assert fingerprint("two") == first
    assert fingerprint("three", config={"_name_or_path": "somewhere", **CONFIG}) == first
    others = [
        fingerprint("four", TENSORS | {"x.bias": np.ones(3, np.float32)}),
        fingerprint("five", config={"hidden_size": 1, **CONFIG}),
        fingerprint("six", preprocessor_config={"do_normalize": True}),
        fingerprint("seven", {"y.weight": TENSORS["x.weight"], "x.bias": TENSORS["x.bias"]}),
    ]
    assert len({first, *others}) == 5
    shards = set()
    for index in range(8):  # the order of a set of paths changes with their names
        (tmp_path / str(index)).mkdir()
        folder = split(tmp_path / str(index), (f"p{index}.safetensors", f"a{index}.safetensors"))
        shards.add(hub.open_checkpoint(folder).fingerprint)
    assert len(shards) == 1


def test_a_folder_without_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        ModelError, match=r"must hold model\.safetensors or model\.safetensors\.index\.json, got neither"
    ):
        hub.open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "name", ["no/such/folder", "./nowhere", "/nowhere", "~/x", "a/../b", "hubert", "a b/c", "a/b\0"]
)
def test_neither_folder_nor_id(name):
    with pytest.raises(ModelError, match=r"a checkpoint is a folder or a hub id such as facebook/hubert-base-ls960"):
        hub.open_checkpoint(name)


def client(monkeypatch, download):
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=download))


def test_a_hub_id_is_downloaded_without_pickles(tmp_path, monkeypatch):
    calls = []
    client(monkeypatch, lambda *args, **kwargs: calls.append((args, kwargs)) or str(saved(tmp_path / "cached")))
    assert_holds(hub.open_checkpoint("facebook/hubert-base-ls960", revision="refs/pr/1"))
    patterns = {"revision": "refs/pr/1", "allow_patterns": ["*.json", "*.safetensors"]}
    assert calls == [(("facebook/hubert-base-ls960",), patterns)]


def test_a_folder_comes_before_an_id(tmp_path, monkeypatch):
    client(monkeypatch, lambda *_, **__: pytest.fail("downloaded"))
    (tmp_path / "facebook").mkdir()
    saved(tmp_path / "facebook" / "hubert")
    monkeypatch.chdir(tmp_path)
    assert_holds(hub.open_checkpoint("facebook/hubert"))


def test_without_a_network_the_way_by_hand_is_told(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("Cannot reach the hub.\nA long story")

    client(monkeypatch, offline)
    with pytest.raises(
        ModelError,
        match=r"a/b is no folder here and could not be downloaded: Cannot reach the hub\. Or where there is a network: "
        r"hf download a/b --include '\*\.json' '\*\.safetensors' --local-dir FOLDER, and give the FOLDER",
    ):
        hub.open_checkpoint("a/b")


def test_without_the_package_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install 'trill-speech\[teachers\]' Or where .*hf download a/b "):
        hub.open_checkpoint("a/b")
