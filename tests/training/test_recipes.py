"""Recipes as TOML, and what a recipe cannot be, said in its own words."""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trill.cli import DEFAULT_RECIPE
from trill.networks import saving
from trill.networks.frontend import FRONTENDS, FrontendConfig
from trill.networks.saving import NetworkConfig
from trill.training import augment
from trill.training.recipes import PRECISIONS, SCHEDULES, Optimizer, TrainConfig, load_recipe
from trill.training.selfsupervised import make_objective

# Those of distillation: tests/distill/test_students.py.
ALL_RECIPES = sorted(Path(__file__).parents[2].glob("recipes/*.toml"))
RECIPES = [path for path in ALL_RECIPES if load_recipe(path.stem).objective["kind"] == "triplet"]

numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
values = numbers | st.booleans() | st.text()
tables = st.dictionaries(st.text(), values | st.lists(values), max_size=4)
optimizers = st.builds(
    Optimizer,
    st.floats(1e-12, 1e12),
    st.sampled_from(SCHEDULES),
    st.integers(0, 10**9),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
)
networks = st.builds(
    NetworkConfig,
    st.text(),
    tables,
    st.sampled_from(list(FRONTENDS.values())) | st.builds(FrontendConfig, window_frames=st.integers(1, 1000)),
    st.text(),
    st.text(),
    st.text(),
    st.text(),
)
configs = st.builds(
    TrainConfig,
    networks,
    tables,
    st.dictionaries(st.text(), tables, max_size=3),
    optimizers,
    st.none() | st.floats(0, 1e9),
    *[st.integers(1, 10**12)] * 2,
    st.integers(0, 2**32 - 1),
    st.sampled_from(PRECISIONS),
    st.integers(1, 10**12),
)


@given(configs)
def test_toml_and_back(config):
    assert TrainConfig.from_toml(config.to_toml()) == config
    assert list(TrainConfig.from_toml(config.to_toml()).augment) == list(config.augment)


def test_none_is_left_out():
    config = TrainConfig(NetworkConfig("mobilenet", {"bottleneck": None, "width": 0.5}))
    assert TrainConfig.from_toml(config.to_toml()).network.arguments == {"width": 0.5}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_and_its_header_says_how_it_is_run(path):
    config = load_recipe(path.stem)
    assert config == load_recipe(str(path))
    assert config.network.name == path.stem
    saving.build(config.network)
    make_objective(config.objective)
    augment.build({name: row for name, row in config.augment.items() if name != "noise"})
    head = re.match(r"(#.*\n)+", path.read_text())[0]
    [command] = re.findall(r"^#     (trill train .+)$", head, re.MULTILINE)
    assert f"--recipe {path.stem}" in command
    assert ("--noise " in command) == ("noise" in config.augment)


def test_the_default_is_one():
    assert DEFAULT_RECIPE in [path.stem for path in RECIPES]


def test_defaults_are_those_of_the_class():
    assert TrainConfig.from_toml("") == TrainConfig()


@pytest.mark.parametrize("name", FRONTENDS)
def test_a_front_end_by_name(name):
    config = TrainConfig.from_toml(f'[network]\narchitecture = "mobilenet"\nfrontend = "{name}"')
    assert config.network == NetworkConfig("mobilenet", frontend=FRONTENDS[name])


NETWORK = '[network]\narchitecture = "mobilenet"\n'
WRONG = {
    "step = 5": "x.toml knows the keys network, objective, .+, got 'step'",
    "steps = ": "x.toml must be TOML: ",
    "steps = 1\nsteps = 2": "x.toml must be TOML: ",
    'steps = "5"': "steps of x.toml must be a whole number, got '5'",
    "steps = 5e3": "steps of x.toml must be a whole number, got 5000.0",
    "steps = true": "steps of x.toml must be a whole number, got True",
    f"steps = 1{'0' * 400}": "steps of x.toml must be a whole number, got 1000",
    "steps = 0": "x.toml cannot be: steps must be 1 or more, got 0",
    "batch_size = -2": "x.toml cannot be: batch_size must be 1 or more, got -2",
    "checkpoint_every = 0": "x.toml cannot be: checkpoint_every must be 1 or more, got 0",
    "batch_size = 6\nshards = 4": "x.toml cannot be: batch_size must be a multiple of shards, 4, got 6",
    "shards = 0": "x.toml cannot be: shards must be 1 or more, got 0",
    '[optimizer]\nkind = "sgd"': "kind must be one of adam, muon, got 'sgd'",
    "seed = -1": r"x.toml cannot be: seed must be in \[0, 2\*\*32\), got -1",
    "seed = 4294967296": r"seed must be in \[0, 2\*\*32\), got 4294967296",
    'precision = "float16"': "x.toml cannot be: precision must be one of float32, mixed_bfloat16, .+, got 'float16'",
    "precision = 16": "precision of x.toml must be a text, got 16",
    'max_separation_seconds = "all"': "max_separation_seconds of x.toml must be a number, got 'all'",
    "max_separation_seconds = -1": "max_separation_seconds must be 0 or more, got -1",
    "objective = 3": "objective of x.toml must be a table, got 3",
    "augment = []": r"augment of x.toml must be a table, got \[\]",
    "network = 3": "network of x.toml must be a table, got 3",
    "[optimizer]\nrate = 1": r"\[optimizer\] of x.toml knows the keys learning_rate, .+, got 'rate'",
    "[optimizer]\nlearning_rate = 0": r"\[optimizer\] of x.toml cannot be: learning_rate must be positive, got 0",
    "[optimizer]\nlearning_rate = nan": r"learning_rate of \[optimizer\] of x.toml must be a number, got nan",
    "[optimizer]\nlearning_rate = inf": r"learning_rate of \[optimizer\] of x.toml must be a number, got inf",
    "[optimizer]\nwarmup_steps = 1.5": r"warmup_steps of \[optimizer\] of x.toml must be a whole number, got 1.5",
    "[optimizer]\nclip_norm = -1": "clip_norm must be 0 or more, got -1",
    '[optimizer]\nschedule = "linear"': "schedule must be one of constant, cosine, got 'linear'",
    "[network]": r"\[network\] of x.toml needs the key architecture",
    "[network]\narchitecture = 3": r"architecture of \[network\] of x.toml must be a text, got 3",
    NETWORK + "width = 0.5": r"\[network\] of x.toml knows the keys architecture, arguments, .+, got 'width'",
    NETWORK + "arguments = 3": r"arguments of \[network\] of x.toml must be a table, got 3",
    NETWORK + 'frontend = "tril"': r"frontend of \[network\] of x.toml must be one of trill, yamnet, .+, got 'tril'",
    NETWORK + "frontend = 3": r"frontend of \[network\] of x.toml must be a table, got 3",
    NETWORK
    + "frontend = { hop = 1 }": r"\[frontend\] of \[network\] of x.toml knows the keys sample_rate, .+, got 'hop'",
    NETWORK + "frontend = { mel_bands = 0 }": "mel_bands must be positive",
    NETWORK + 'frontend = { mel_bands = "64" }': r"mel_bands of \[frontend\] of .+ must be a whole number, got '64'",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[-30:])
def test_a_recipe_that_cannot_be_is_refused(text):
    with pytest.raises(ValueError, match=WRONG[text]):
        TrainConfig.from_toml(text, "x.toml")


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 2.5},
        {"steps": "3"},
        {"batch_size": None},
        {"network": "mobilenet"},
        {"optimizer": {"learning_rate": 1}},
        {"augment": None},
        {"max_separation_seconds": float("nan")},
    ],
)
def test_python_is_told_the_same(fields):
    [name] = fields
    with pytest.raises(ValueError, match=f"^{name} must be a "):
        TrainConfig(**fields)
    with pytest.raises(ValueError, match=f"^{name} must be a "):
        dataclasses.replace(TrainConfig(), **fields)


@pytest.mark.parametrize("name", ["", "mobilenets", "missing.toml"])
def test_an_unknown_recipe_says_which_there_are(name):
    with pytest.raises(ValueError, match=rf"one of .*{DEFAULT_RECIPE}.*, or the path of a \.toml file, got '{name}'"):
        load_recipe(name)


def test_a_recipe_is_a_text(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"x\.toml must be TOML, a text in UTF-8: "):
        load_recipe(str(tmp_path / "x.toml"))
