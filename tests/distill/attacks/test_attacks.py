"""Checkpoints made to mislead: each is refused by name and rule, at once and without taking memory."""

import json
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.teachers import hub, wav2vec2
from tests.distill.attacks.made import CONFIG, ONES, SOUND, checkpoint, row, safetensors, sharded
from trill.errors import ModelError

UNSOUND = r"model\.safetensors is no sound safetensors file: "
HEADERS = {
    "empty": (b"", r"the header of .*model\.safetensors must have 2 to 4,000,000 bytes and fit the file's 0, got 0"),
    "eight bytes": (bytes(8), "fit the file's 8, got 0"),
    "longer than the file": (safetensors({"a": row(0, 8)}, ONES, length=1000), r"fit the file's \d+, got 1,000"),
    "of petabytes": (safetensors({"a": row(0, 8)}, ONES, length=2**63), "got 9,223,372,036,854,775,808"),
    "huge": (safetensors(b" " * 5_000_000 + b"{}"), "got 5,000,002"),
    "no JSON": (safetensors(b'{"a": '), "a safetensors header must be JSON"),
    "no text": (safetensors(b"\xff\xfe\x00\x01"), "a safetensors header must be JSON"),
    "nested": (safetensors(b"[" * 1_000_000), "a safetensors header must be JSON"),
    "a list": (safetensors([1, 2]), r"a safetensors header must be a JSON object, .* holds \[1, 2\]"),
    "no tensors": (safetensors({"__metadata__": {"format": "pt"}}), "must hold tensors, got none"),
    "a name twice": (
        safetensors(b'{"a": %b, "a": %b}' % ((json.dumps(row(0, 8)).encode(),) * 2), ONES),
        "it names 'a' twice",
    ),
    "a row that is none": (safetensors({"a": [1]}, ONES), UNSOUND),
    "a row without shape": (safetensors({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, ONES), UNSOUND),
    "fractional offsets": (safetensors({"a": row(0.0, 8.0)}, ONES), UNSOUND),
    "negative shape": (safetensors({"a": row(0, 8, shape=(-2,))}, ONES), UNSOUND),
    "unknown dtype": (safetensors({"a": row(0, 8, "F7")}, ONES), f"{UNSOUND}.*F7"),
    "cut short": (SOUND[:-1], UNSOUND),
    "something behind": (SOUND + b"!", UNSOUND),
    "overlapping": (safetensors({"a": row(0, 8), "b": row(4, 12)}, ONES + ONES[:4]), UNSOUND),
    "the same place twice": (safetensors({"a": row(0, 8), "b": row(0, 8)}, ONES), UNSOUND),
    "a hole": (safetensors({"a": row(0, 8), "b": row(12, 20)}, ONES + ONES + ONES[:4]), UNSOUND),
    "a hole in front": (safetensors({"a": row(4, 12)}, ONES + ONES[:4]), UNSOUND),
    "backwards": (safetensors({"a": row(8, 0)}, ONES), UNSOUND),
    "beyond the end": (safetensors({"a": row(0, 8), "b": row(8, 2**40, shape=(2**38 - 2,))}, ONES), UNSOUND),
    "another size than its shape": (safetensors({"a": row(0, 8, shape=(3,))}, ONES), UNSOUND),
    "another size than its dtype": (safetensors({"a": row(0, 8, "F16")}, ONES), UNSOUND),
    "a shape that overflows": (safetensors({"a": row(0, 8, shape=(2**62, 2**62, 4))}, ONES), UNSOUND),
}


@pytest.mark.parametrize("attack", HEADERS)
def test_weight_files(attack, tmp_path):
    content, message = HEADERS[attack]
    checkpoint(tmp_path, weights=content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=rf"{message}.*(Copy|Download)"):
            hub.open_checkpoint(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


def test_the_file_that_the_attacks_start_from_is_sound(tmp_path):
    opened = hub.open_checkpoint(checkpoint(tmp_path))
    assert opened.tensor("a").tolist() == [1, 1]


TWO = {"a": row(0, 8), "b": row(8, 16)}
OUTSIDE = r"files of a checkpoint lie in its folder"
INDEXES = {
    "a shard that is missing": ({"a": "x.safetensors"}, {}, r"must hold the file x\.safetensors, got none"),
    "a shard above": ({"a": "../x.safetensors"}, {}, rf"{OUTSIDE}, .* names '\.\./x\.safetensors'"),
    "a shard by backslash": ({"a": "..\\x.safetensors"}, {}, OUTSIDE),
    "an absolute shard": ({"a": "/etc/passwd"}, {}, rf"{OUTSIDE}, .* names '/etc/passwd'"),
    "the folder above": ({"a": ".."}, {}, OUTSIDE),
    "the folder itself": ({"a": "."}, {}, OUTSIDE),
    "no name": ({"a": ""}, {}, OUTSIDE),
    "a zero in the name": ({"a": "x\0.safetensors"}, {}, OUTSIDE),
    "a number for a shard": ({"a": 1}, {}, "must hold weight_map, tensor to file name, got"),
    "a list of shards": (["a"], {}, "must hold weight_map"),
    "no map": (None, {}, "must hold weight_map"),
    "an empty map": ({}, {}, "must hold weight_map"),
    "a tensor that its shard lacks": (
        {"a": "x.safetensors", "b": "x.safetensors"},
        {"x.safetensors": SOUND},
        r"x\.safetensors must name the same tensors, only one of them has b",
    ),
    "a tensor that the index hides": (
        {"a": "x.safetensors"},
        {"x.safetensors": safetensors(TWO, ONES * 2)},
        "must name the same tensors, only one of them has b",
    ),
    "a tensor in two shards": (
        {"a": "x.safetensors", "b": "y.safetensors"},
        {"x.safetensors": safetensors(TWO, ONES * 2), "y.safetensors": safetensors({"b": row(0, 8)}, ONES)},
        "must name the same tensors, only one of them has b",
    ),
    "a shard cut short": ({"a": "x.safetensors"}, {"x.safetensors": SOUND[:-3]}, "x.safetensors is no sound"),
    "the configuration for a shard": ({"a": "config.json"}, {}, r"the header of .*config\.json"),
}


@pytest.mark.parametrize("attack", INDEXES)
def test_indexes(attack, tmp_path):
    weight_map, shards, message = INDEXES[attack]
    (tmp_path / "model").mkdir()
    (tmp_path / "x.safetensors").write_bytes(SOUND)  # what a path out of the folder would find
    with pytest.raises(ModelError, match=message):
        hub.open_checkpoint(sharded(tmp_path / "model", weight_map, **shards))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_links_out_of_the_folder(name, tmp_path):
    folder, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.write_bytes(SOUND if name == "model.safetensors" else b"{}")
    checkpoint(folder)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(ModelError, match=rf"{OUTSIDE}, .*{name} leads to .*elsewhere\. Copy the file"):
        hub.open_checkpoint(folder)


def test_the_cache_of_the_hub_links_to_its_blobs_and_nowhere_else(tmp_path):
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "1234"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "abc").write_bytes(SOUND)
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    (snapshot / "config.json").write_text(json.dumps(CONFIG))
    assert hub.open_checkpoint(snapshot).tensor("a").tolist() == [1, 1]
    (tmp_path / "other").write_text("{}")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("../../../other")
    with pytest.raises(ModelError, match=OUTSIDE):
        hub.open_checkpoint(snapshot)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_is_not_waited_for(name, tmp_path):
    checkpoint(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match=f"must hold the file {name}, got none"):
        hub.open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"must hold the file config\.json, got none\. Download"),
        (b"", r"config\.json must be JSON"),
        (b"{", r"config\.json must be JSON"),
        (b"\x80abc", r"config\.json must be JSON"),
        (b"[]", r"config\.json must be a JSON object, .* holds \[\]"),
        (b"[" * 500_000, r"config\.json must be JSON"),
        (b'{"a": ' * 500_000, r"config\.json must be JSON"),
        (b'{"a": 1' + b"0" * 5000 + b"}", r"config\.json must be JSON"),
        (b'{"model_type": "hubert", "model_type": "wavlm"}', "it names 'model_type' twice"),
        (b" " * 5_000_000, "must have at most 4,000,000 bytes, got 5,000,000"),
    ],
)
def test_configurations(content, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        hub.open_checkpoint(checkpoint(tmp_path, config=content))


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "F32"), (np.inf, "F32"), (-np.inf, "F16"), (1e300, "F64")])
def test_weights_that_are_no_numbers(value, dtype, tmp_path):
    """A double that float32 cannot hold is infinite too."""
    kind = {"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype]
    data = np.array([1, value, 2], kind).tobytes()
    opened = hub.open_checkpoint(checkpoint(tmp_path, weights=safetensors({"a": row(0, len(data), dtype, (3,))}, data)))
    with pytest.raises(ModelError, match=r"a of .*model\.safetensors must hold finite numbers, got 1 NaN or .* of 3"):
        opened.tensor("a")


@pytest.mark.parametrize(("dtype", "size"), [("I64", 16), ("U8", 2), ("BOOL", 2), ("F8_E4M3", 2)])
def test_weights_of_another_kind(dtype, size, tmp_path):
    opened = hub.open_checkpoint(checkpoint(tmp_path, weights=safetensors({"a": row(0, size, dtype)}, bytes(size))))
    with pytest.raises(ModelError, match=rf"a of .* must be one of F16, BF16, F32, F64, got {dtype}"):
        opened.tensor("a")


def test_pickles_are_left_alone(tmp_path):
    checkpoint(tmp_path, weights=None)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch run'\ntR.")
    with pytest.raises(
        ModelError, match=r"has pytorch_model\.bin: a pickle, which may run code.*refs/pr.*save_pretrained"
    ):
        hub.open_checkpoint(tmp_path)


def test_a_file_changed_under_its_reader(tmp_path):
    opened = hub.open_checkpoint(checkpoint(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(SOUND[:-4])
    with pytest.raises(ModelError, match=r"changed since it was opened.*Copy or download"):
        opened.tensor("a")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_changed_are_refused_or_read(data, tmp_path):
    """Whatever is overwritten or cut: a ModelError or tensors, nothing else."""
    content = bytearray(safetensors(TWO, ONES * 2))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    checkpoint(tmp_path, weights=bytes(content))
    try:
        opened = hub.open_checkpoint(tmp_path)
        for name in opened.names():
            assert np.isfinite(opened.tensor(name)).all()
        wav2vec2.load(opened)
    except ModelError:
        pass
    else:
        raise AssertionError("two tensors are no wav2vec2")
