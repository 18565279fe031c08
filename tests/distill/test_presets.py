"""The rows of presets.toml: sound, and about models that can be loaded."""

import dataclasses
import importlib

import pytest

import distill
import trill
from distill.teachers.loading import MODULES
from distill.teachers.presets import Preset, presets
from trill.errors import ModelError
from trill.networks.saved_model_families import FAMILIES, HUB

LICENCES = {"Apache-2.0", "MIT", "CC-BY-SA-3.0"}


@pytest.mark.parametrize("row", distill.list_teachers(), ids=lambda row: row.name)
def test_a_row_is_whole(row):
    assert row.licence in LICENCES
    assert row.source
    assert "/" in row.id
    assert row.sample_rate == 16_000
    assert (row.layers is None) == (row.family == "tfhub")
    for layers in (*row.best.values(), row.kept):
        assert all(0 <= layer <= row.layers for layer in layers)


def test_no_name_means_two_models():
    assert not {row.name for row in distill.list_teachers()} & set(trill.list_models())


def test_every_row_has_a_loader():
    pytest.importorskip("keras")
    loadable = {
        family for module in MODULES for family in importlib.import_module(f"distill.teachers.{module}").FAMILIES
    }
    assert {row.family for row in distill.list_teachers()} <= loadable | {"tfhub"}


def test_rows_of_tf_hub_are_those_that_can_be_called():
    rows = {row.name: HUB + row.id for row in distill.list_teachers() if row.family == "tfhub"}
    assert rows == {name: family.handle for name, family in FAMILIES.items()}


def test_the_literatures_best_layers():
    best = {name: (row.best["gender"][0], row.best["emotion"][0], row.best["intent"][0])
            for name, row in presets().items() if row.best}  # fmt: skip
    assert best == {
        "wav2vec2-base": (3, 1, 7),
        "hubert-base": (1, 11, 7),
        "wavlm-base-plus": (5, 5, 9),
        "wavlm-large": (7, 4, 16),
        "whisper-small": (7, 1, 11),
    }
    assert presets()["wavlm-large"].kept == (*range(15), 17)


def test_describe_names_them_all_in_columns():
    lines = distill.describe().splitlines()
    assert len(lines) == len(distill.list_teachers()) + 1
    assert [line.split()[0] for line in lines[1:]] == [row.name for row in distill.list_teachers()]
    large = next(line for line in lines if line.startswith("wavlm-large"))
    assert large.split() == [
        "wavlm-large", "24", "x", "1024", "16000", "CC-BY-SA-3.0", "microsoft/wavlm-large",
        "gender", "7,", "emotion", "4,", "intent", "16",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 160


@dataclasses.dataclass
class Loaded:
    sample_rate: int = 16_000
    width: int = 32
    num_layers: int = 3
    name: str = "what-was-loaded"


ROW = Preset("ours", "a/b", "hubert", 32, "MIT", "", layers=3)


def test_a_row_knows_its_model():
    ROW.check(Loaded(), whole=True)
    ROW.check(Loaded(num_layers=1), whole=False)


@pytest.mark.parametrize("wrong", [{"sample_rate": 8_000}, {"width": 31}, {"num_layers": 2}])
def test_another_model_under_its_name_is_refused(wrong):
    ((field, value),) = wrong.items()
    with pytest.raises(ModelError, match=rf"ours must have .*what-was-loaded has .*{field} {value}"):
        ROW.check(Loaded(**wrong), whole=True)
