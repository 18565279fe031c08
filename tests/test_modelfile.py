"""What a model file says comes back as written, and whatever happened to the file is found out."""

import dataclasses
import hashlib
import io
import json
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trill import files, modelfile
from trill.errors import ModelError
from trill.modelfile import ModelCard

FLATBUFFER = bytes(range(64))
CARD = ModelCard("tiny", "1.2", 16_000, 15_600, 2_720, {"embedding": (51,), "final": (6, 4, 51)}, "MIT", "float16", "é")


@pytest.fixture
def path(tmp_path):
    modelfile.write(tmp_path / "model.tflite", FLATBUFFER, CARD)
    return tmp_path / "model.tflite"


def archived(content, flatbuffer=FLATBUFFER, **options):
    """A model file that carries what we like."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", **options) as file:
        file.writestr(modelfile.ENTRY, content if isinstance(content, bytes) else json.dumps(content))
    return flatbuffer + archive.getvalue()


def content(**changes):
    """What stands in a sound file, with fields of its card changed, or left out where None."""
    card = {**dataclasses.asdict(CARD), "sha256": hashlib.sha256(FLATBUFFER).hexdigest(), **changes}
    card = {name: value for name, value in card.items() if value is not None}
    return {"format": modelfile.FORMAT, "flatbuffer_bytes": len(FLATBUFFER), "card": card}


def refusal(path, data):
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"\.$") as error:
        modelfile.read(path)
    return str(error.value)


def test_what_was_written_is_read(path):
    flatbuffer, card = modelfile.read(path)
    assert flatbuffer == FLATBUFFER
    assert card == dataclasses.replace(CARD, sha256=hashlib.sha256(FLATBUFFER).hexdigest())
    assert card.identity == f"tiny-1.2-{card.sha256[:8]}"
    assert zipfile.ZipFile(path).namelist() == ["trill.json"], "any zip tool shows the card"


@settings(max_examples=30, deadline=None)
@given(flatbuffer=st.binary(min_size=1, max_size=200), text=st.text(max_size=20), size=st.integers(1, 2**40))
def test_round_trip(tmp_path_factory, flatbuffer, text, size):
    path = tmp_path_factory.mktemp("card") / "model.tflite"
    card = ModelCard(text, text, size, size, size, {"embedding": (size,), text: (1, size)}, text, text, text)
    written = modelfile.write(path, flatbuffer, card)
    assert modelfile.read(path) == (flatbuffer, written)


def test_same_input_same_bytes(path, tmp_path):
    modelfile.write(tmp_path / "again.tflite", FLATBUFFER, CARD)
    assert (tmp_path / "again.tflite").read_bytes() == path.read_bytes()


def test_cut_short_anywhere(path):
    data = path.read_bytes()
    for length in range(len(data)):
        assert "was cut short" in refusal(path, data[:length])


def test_cut_off_in_front(path):
    assert "altered" in refusal(path, path.read_bytes()[1:])


def test_any_byte_changed(path):
    """What changes neither flatbuffer nor card is a zip's small print, such as the time of day."""
    data = path.read_bytes()
    sound = modelfile.read(path)
    card_start = data.index(b"{")
    essential = {*range(len(FLATBUFFER)), *range(card_start, data.rindex(b"}") + 1)}
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= (0x01, 0x0C, 0x80)[index % 3]
        path.write_bytes(changed)
        try:
            read = modelfile.read(path)
        except ModelError:
            continue
        assert read == sound
        assert index not in essential


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no model file of ours, or was cut short.*trill-export"),
        (b"to whom it may concern", "no model file of ours"),
        (FLATBUFFER, "no model file of ours"),
        (archived(b"{"), "no readable trill.json"),
        (archived(b"\xff\xfe"), "no readable trill.json"),
        (archived(b"[" * 100_000), "no readable trill.json"),
        (archived([]), "no readable trill.json"),
        (archived({}), "no readable trill.json .*'format'"),
        (archived({**content(), "format": 2}), "has format 2, this version reads 1. Update trill-speech"),
        (archived({"format": 2}), "has format 2, this version reads 1. Update trill-speech"),
        (archived({**content(), "flatbuffer_bytes": 63}), "was altered after it was written"),
        (archived({**content(), "flatbuffer_bytes": -1}), "was altered"),
        (archived({**content(), "flatbuffer_bytes": 10**30}), "was altered"),
        (archived({**content(), "flatbuffer_bytes": "64"}), "was altered"),
        (archived({**content(), "card": None}), "no readable trill.json"),
        (archived(content(colour="red")), "no readable trill.json .*colour"),
        (archived(content(name=None)), "no readable trill.json .*'name'"),
        (archived(content(taps=None)), "no readable trill.json .*'taps'"),
        (archived(content(taps=["embedding"])), "no readable trill.json"),
        (archived(content(taps={"embedding": 5})), "no readable trill.json"),
        (archived(content(taps={})), "needs at least one tap, got none"),
        (archived(content(dynamic=1)), "dynamic of a model must be true or false, got 1"),
        (archived(content(source_sha256=1)), "source_sha256 of a model must be text, got 1"),
        (archived(content(interpreters=[1])), r"interpreters of a model must be a list of texts, got \(1,\)"),
        (archived(content(interpreters=1)), "no readable trill.json"),
        (archived(content(verification={"a": {"b": "c"}})), "verification of a model must be figures by name"),
        (archived(content(verification=[1])), "no readable trill.json"),
        (archived(content(window_samples=0)), "window_samples of a model must be a positive whole number, got 0"),
        (archived(content(window_samples="x")), "window_samples .* got 'x'"),
        (archived(content(hop_samples=-1)), "hop_samples .* got -1"),
        (archived(content(sample_rate=16e3)), r"sample_rate .* got 16000\.0"),
        (archived(content(sample_rate=True)), "sample_rate .* got True"),
        (archived(content(name=5)), "name of a model must be text, got 5"),
        (archived(content(sha256=[])), r"sha256 of a model must be text, got \[\]"),
        (archived(content(sha256="")), "was altered"),
        (archived(bytes(modelfile.MAX_ENTRY_BYTES + 1)), r"may hold 1,000,000 bytes, its header claims 1,000,001"),
        (archived(bytes(10**7), compression=zipfile.ZIP_DEFLATED), "header claims 10,000,000"),
    ],
)
def test_other_files(path, data, message):
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message):
        modelfile.read(path)


def test_a_zip_bomb_that_claims_to_be_small(path):
    """10 MB of zeros that the directory calls 1,000 bytes: never more than that is unpacked."""
    data = bytearray(archived(bytes(10**7), compression=zipfile.ZIP_DEFLATED))
    claim = data.rindex(b"PK\x01\x02") + 24
    data[claim : claim + 4] = struct.pack("<I", 1_000)
    assert "no readable trill.json" in refusal(path, data)


def test_a_file_too_big(path, monkeypatch):
    monkeypatch.setattr(modelfile, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelError, match=r"holds at most 100 bytes, .*model\.tflite has \d+\."):
        modelfile.read(path)


@pytest.mark.parametrize(
    ("name", "found"), [("", "a folder"), ("missing.tflite", "not there"), ("n" * 300, "not there")]
)
def test_paths(tmp_path, name, found):
    with pytest.raises(ModelError, match=rf"a model is a \.tflite file, and .* is {found}\. Check the path"):
        modelfile.read(tmp_path / name)


def test_a_card_is_checked_before_it_is_written(tmp_path):
    with pytest.raises(ModelError, match=r"hop_samples .* got 0"):
        modelfile.write(tmp_path / "model.tflite", FLATBUFFER, dataclasses.replace(CARD, hop_samples=0))
    assert not list(tmp_path.iterdir())


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    old = path.read_bytes()
    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        modelfile.write(path, b"other", CARD)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_block_leaves_the_old_file_and_nothing_else(path):
    old = path.read_bytes()

    def interrupted():
        with files.write_atomically(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_a_card_without_the_newer_fields(path):
    """Files written before these were known."""
    newer = ("input", "dynamic", "source_sha256", "interpreters", "verification")
    path.write_bytes(archived(content(**dict.fromkeys(newer))))
    assert modelfile.read(path)[1] == dataclasses.replace(CARD, sha256=hashlib.sha256(FLATBUFFER).hexdigest())


def test_attachments_travel_along(path):
    modelfile.write(path, FLATBUFFER, CARD, {"vectors.npz": b"numbers", "b.txt": b""})
    assert zipfile.ZipFile(path).namelist() == ["trill.json", "vectors.npz", "b.txt"]
    assert modelfile.read(path)[0] == FLATBUFFER
    assert modelfile.read_attachment(path, "vectors.npz") == b"numbers"
    with pytest.raises(ModelError, match=r"carries no readable c\.txt .*Export it again"):
        modelfile.read_attachment(path, "c.txt")


def test_a_changed_attachment_is_seen(path):
    modelfile.write(path, FLATBUFFER, CARD, {"vectors.npz": b"numbers"})
    path.write_bytes(path.read_bytes().replace(b"numbers", b"Numbers"))
    with pytest.raises(ModelError, match=r"no readable vectors\.npz \(Bad CRC-32"):
        modelfile.read_attachment(path, "vectors.npz")
