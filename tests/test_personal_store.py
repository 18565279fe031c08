"""A head on disk: what was saved comes back, and whatever happened to the files is found out."""

import contextlib
import dataclasses
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trill
from tests.personal_voices import DIM, toy, voices
from trill import ModelError, PersonalHead
from trill.personal import store
from trill.personal.labels import clip_id


@pytest.fixture
def folder(tmp_path):
    head = PersonalHead(model=toy(), threshold=0.25)
    for label, rows in zip(("anna", "ben"), voices(2, 2), strict=True):
        head.add_embeddings(label, rows)
    head.save(tmp_path / "head")
    return tmp_path / "head"


def test_a_head_finds_the_packaged_file_that_made_it(tmp_path):
    head = PersonalHead(model="mobilenet-int8")
    head.add("anna", trill.example("anna_calm"))
    head.save(tmp_path / "head")
    assert PersonalHead.load(tmp_path / "head").predict(trill.example("anna_calm")).label == "anna"
    with pytest.raises(ModelError, match=r"was made with mobilenet .*, and this is mobilenet "):
        PersonalHead.load(tmp_path / "head", "mobilenet")


def npz(folder):
    (path,) = folder.glob("*.npz")
    return path


def refusal(folder):
    with pytest.raises(ModelError, match=r"\.$") as error:
        PersonalHead.load(folder, toy())
    return str(error.value)


def edit(folder, change):
    path = folder / store.HEAD
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put_vectors(folder, data):
    """Other embeddings, with the hash that the head expects."""
    npz(folder).write_bytes(data)
    edit(folder, lambda head: head["vectors"].update(sha256=hashlib.sha256(data).hexdigest()))


def test_what_was_saved_comes_back(folder):
    head = PersonalHead.load(folder, toy())
    assert (head.labels, head.threshold, head.closed_labels, head.method) == (("anna", "ben"), 0.25, None, "logistic")
    again = PersonalHead.load(folder, toy())
    vector = voices(2, 3)[0, 2]
    assert head.predict_embedding(vector) == again.predict_embedding(vector)
    assert list(head.clips.values()) == ["anna", "anna", "ben", "ben"]
    closed = PersonalHead(["b", "a"], model=toy(), method="centroid")
    closed.save(folder)
    loaded = PersonalHead.load(folder, toy())
    assert (loaded.closed_labels, loaded.labels, loaded._state.method) == (("a", "b"), (), "centroid")


def test_the_packaged_model_is_found_by_its_name(tmp_path):
    head = PersonalHead()
    head.add_embeddings("a", np.ones((1, head.embedder.embedding_dim), np.float32))
    head.save(tmp_path)
    assert PersonalHead.load(tmp_path).embedder == head.embedder


def test_what_was_forgotten_is_gone_from_the_disk(folder):
    head, before = PersonalHead.load(folder, toy()), npz(folder)
    head.forget("anna")
    head.save(folder)
    assert npz(folder) != before
    assert sorted(path.name for path in folder.iterdir()) == sorted([store.HEAD, npz(folder).name])
    assert "anna" not in (folder / store.HEAD).read_text()


def test_saving_that_fails_leaves_the_old_head(folder, monkeypatch):
    head = PersonalHead.load(folder, toy())
    head.forget("anna")

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.json, "dumps", fail)
    with pytest.raises(KeyboardInterrupt):
        head.save(folder)
    monkeypatch.undo()
    assert PersonalHead.load(folder, toy()).labels == ("anna", "ben")


@pytest.mark.parametrize("changes", [{"version": "2"}, {"sha256": "cd" * 32}, {"name": "other"}])
def test_another_model_is_refused(folder, changes):
    with pytest.raises(ModelError, match=r"was made with toy 1 \(abababab\), and this is .* cannot be compared"):
        PersonalHead.load(folder, toy(**changes))


def test_tap_and_hop_come_back(tmp_path):
    head = PersonalHead(model=toy().using(tap="other", hop_seconds=0.01))
    head.save(tmp_path)
    assert PersonalHead.load(tmp_path, toy()).embedder == head.embedder
    with pytest.raises(ModelError, match=r"does not fit its model: tap must be one of embedding"):
        PersonalHead.load(tmp_path, toy(taps={"embedding": (DIM,)}))


def test_no_head_at_all(tmp_path):
    with pytest.raises(ModelError, match=r"a head is a folder with head\.json, .* has none"):
        PersonalHead.load(tmp_path, toy())


CHANGES = {
    "format": lambda head: head.update(format=2),
    "no model": lambda head: head.pop("model"),
    "name a number": lambda head: head["model"].update(name=7),
    "hop": lambda head: head["model"].update(hop_samples=-1),
    "hop true": lambda head: head["model"].update(hop_samples=True),
    "threshold": lambda head: head.update(threshold=2),
    "threshold NaN": lambda head: head.update(threshold=float("nan")),
    "threshold text": lambda head: head.update(threshold="high"),
    "method": lambda head: head.update(method="svm"),
    "method a list": lambda head: head.update(method=[]),
    "label": lambda head: head["clips"][0].update(label="unknown"),
    "label a number": lambda head: head["clips"][0].update(label=7),
    "id": lambda head: head["clips"][0].update(id="0" * 12),
    "same id": lambda head: head["clips"][0].update(id=head["clips"][1]["id"]),
    "fewer clips": lambda head: head["clips"].pop(),
    "clips": lambda head: head.update(clips=7),
    "labels": lambda head: head.update(labels=["anna"]),
    "huge": lambda head: head["vectors"].update(shape=[2**40, 2**20]),
    "shape": lambda head: head["vectors"].update(shape=[4, 25]),
    "shape of text": lambda head: head["vectors"].update(shape=["4", "24"]),
    "hash": lambda head: head["vectors"].update(sha256="0" * 64),
    "elsewhere": lambda head: head["vectors"].update(file="../clips-0123456789abcdef.npz"),
    "absolute": lambda head: head["vectors"].update(file="/etc/passwd"),
    "missing": lambda head: head["vectors"].update(file="clips-0123456789abcdef.npz"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_edited_head_is_refused(folder, name):
    edit(folder, CHANGES[name])
    assert str(folder) in refusal(folder)


@pytest.mark.parametrize("content", ["", "[]", "null", "7", "{", '{"format": 1}', "[" * 100_000, "\udc80"])
def test_what_is_no_head_is_refused(folder, content):
    (folder / store.HEAD).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert "no head of ours" in refusal(folder)


def array(values, name="vectors", **options):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **options) as archive, archive.open(f"{name}.npy", "w") as entry:
        np.lib.format.write_array(entry, values, allow_pickle=True)
    return content.getvalue()


def header_of(shape):
    """An array whose header claims what we like, and which holds nothing."""
    content, entry = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(entry, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("vectors.npy", entry.getvalue())
    return content.getvalue()


GOOD = voices(2, 2).reshape(4, DIM)
WRONG = {
    "NaN": array(np.full((4, DIM), np.nan, np.float32)),
    "objects": array(np.full((4, DIM), None, object)),
    "doubles": array(GOOD.astype(np.float64)),
    "another order": array(np.asfortranarray(GOOD)),
    "another name": array(GOOD, "other"),
    "compressed": array(GOOD, compression=zipfile.ZIP_DEFLATED),
    "another shape": array(GOOD[:3]),
    "other values": array(GOOD + 1),
    "huge": header_of((2**40, 2**20)),
    "empty": header_of((4, DIM)),
    "no zip": b"PK" * 40,
}


@pytest.mark.parametrize("name", WRONG)
def test_other_arrays_are_refused(folder, name):
    put_vectors(folder, WRONG[name])
    refusal(folder)


def test_numbers_that_are_none_are_refused_whatever_their_hashes(folder):
    bad = GOOD.copy()
    bad[0, 3] = np.nan
    put_vectors(folder, array(bad))
    edit(folder, lambda head: head["clips"][0].update(id=clip_id(bad[0])))
    assert "embeddings cannot be NaN or infinity" in refusal(folder)


def test_the_same_array_written_by_others_is_taken(folder):
    put_vectors(folder, array(GOOD))
    assert PersonalHead.load(folder, toy()).labels == ("anna", "ben")


@pytest.mark.parametrize("which", [store.HEAD, "npz"])
def test_files_cut_short_are_refused(folder, which):
    path = npz(folder) if which == "npz" else folder / which
    data = path.read_bytes()
    for length in range(0, len(data) - 1, max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        refusal(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_never_crash(folder, data):
    """In the embeddings every flip is found out; in the JSON some only change a label, which is a head, too."""
    path = npz(folder) if data.draw(st.booleans()) else folder / store.HEAD
    whole = path.read_bytes()
    place, bits = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
    try:
        if path.suffix == ".npz":
            refusal(folder)
        else:
            with contextlib.suppress(ModelError):
                PersonalHead.load(folder, toy())
    finally:
        path.write_bytes(whole)


def test_a_saved_head_says_what_it_is(folder):
    content = json.loads((folder / store.HEAD).read_text())
    assert content["model"] == {
        "name": "toy",
        "version": "1",
        "sha256": "ab" * 32,
        "tap": "embedding",
        "hop_samples": 400,
    }
    with np.load(npz(folder), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["vectors"], GOOD)
    assert {field.name for field in dataclasses.fields(store.Saved)} >= {"model", "threshold", "clips"}
