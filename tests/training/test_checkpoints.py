"""A run's folder: what is restored is what was saved, and nothing is taken for what it is not."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import safetensors.numpy

from tests.runs import SMALL, changed, files_of, little_known
from trill.errors import ModelError
from trill.networks import saving
from trill.networks.saving import NetworkConfig
from trill.training import checkpoints, loop
from trill.training.checkpoints import DivergedError, Progress, open_run
from trill.training.recipes import Optimizer
from trill.training.triplet import TripletObjective

SOUNDS = {"corpus": "a", "noise": "b"}
PROGRESS = Progress(3, ({"step": 3, "loss": 0.5},), 0.25, SMALL.to_toml(), SOUNDS)


@pytest.fixture(autouse=True, scope="module")
def _little():
    with little_known():
        yield


def make_learner(seed=0, optimizer=SMALL.optimizer, **arguments):
    keras.utils.set_random_seed(seed)
    network = saving.build(dataclasses.replace(SMALL.network, arguments=arguments))
    learner = loop.Learner(network, TripletObjective())
    learner.compile(optimizer=loop.make_optimizer(optimizer, 5))
    learner.optimizer.build(learner.trainable_variables)
    return learner


def scramble(learner):
    """Other numbers in all that a learner remembers."""
    rng = np.random.default_rng(1)
    for variable in (*learner.variables, *learner.optimizer.variables):
        variable.assign(rng.integers(1, 100, variable.shape))


def state(learner):
    return [variable.numpy() for variable in (*learner.variables, *learner.optimizer.variables)]


@pytest.fixture
def saved(tmp_path):
    """A checkpoint, and what is in it."""
    learner = make_learner()
    scramble(learner)
    path = tmp_path / "checkpoint.safetensors"
    checkpoints.save(checkpoints.snapshot(learner, 3), PROGRESS, path)
    return path, state(learner)


def test_restored_is_what_was_saved(saved):
    path, expected = saved
    learner = make_learner(seed=5)
    assert checkpoints.restore(learner, path) == checkpoints.read(path) == PROGRESS
    for one, other in zip(state(learner), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_is_the_same_bytes_for_the_same_state(saved, tmp_path):
    path, _ = saved
    learner = make_learner(seed=5)
    checkpoints.save(checkpoints.snapshot(learner, 3), PROGRESS, tmp_path / "a")
    checkpoints.restore(learner, path)
    checkpoints.save(checkpoints.snapshot(learner, 3), PROGRESS, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes() == path.read_bytes()


def test_there_is_none_before_the_first(tmp_path):
    assert checkpoints.read(tmp_path / "checkpoint.safetensors") == Progress()


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("of", ["network", "optimizer"])
def test_numbers_that_are_none_are_not_saved(number, of):
    learner = make_learner()
    variable = getattr(learner, of).variables[-1]
    variable.assign(np.full(variable.shape, number))
    with pytest.raises(DivergedError, match=r"weights must be finite, 1 are not after step 1,234, as "):
        checkpoints.snapshot(learner, 1234)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"channels": 8}, r"is of another: stem/kernel is \(3, 3, 1, 4\), not \(3, 3, 1, 8\)"),
        ({"batch_norm": False}, r"stem/bias is missing, not \(4,\)"),
        ({"bottleneck": None}, r"bottleneck/bias is \(4,\), not there"),
    ],
)
def test_a_checkpoint_of_another_network_changes_nothing(saved, other, words):
    learner = make_learner(**other)
    before = state(learner)
    with pytest.raises(ModelError, match=rf"must be of this run's network, .+{words}.* Choose another output folder\."):
        checkpoints.restore(learner, saved[0])
    for one, now in zip(before, state(learner), strict=True):
        np.testing.assert_array_equal(one, now)


DAMAGED = {
    "cut": lambda path: path.read_bytes()[:-1],
    "cut in the header": lambda path: path.read_bytes()[:100],
    "longer": lambda path: path.read_bytes() + b"x",
    "text": lambda _: b"This is no checkpoint.",
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_checkpoint_says_what_to_do(saved, damage):
    path, _ = saved
    path.write_bytes(DAMAGED[damage](path))
    for act in (lambda: checkpoints.read(path), lambda: checkpoints.restore(make_learner(), path)):
        with pytest.raises(ModelError, match=rf"{path} is no sound checkpoint: .+ Remove it to begin anew: rm {path}$"):
            act()


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"trill": "{}"},
        {checkpoints.HEADER_KEY: "{"},
        {checkpoints.HEADER_KEY: "[]"},
        {checkpoints.HEADER_KEY: '{"step": 1}'},
        {checkpoints.HEADER_KEY: '{"step": 1, "rows": [], "best": null, "more": 1}'},
    ],
)
def test_another_file_is_no_checkpoint(tmp_path, metadata):
    path = tmp_path / "checkpoint.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(3)}, path, metadata)
    with pytest.raises(ModelError, match="is no checkpoint of a run"):
        checkpoints.read(path)


def test_two_layers_of_one_name_are_refused():
    """One would be restored as the other."""

    class Objective(keras.layers.Dense):
        figures = ()

    inputs = keras.Input((4,))
    learner = loop.Learner(keras.Model(inputs, keras.layers.Dense(4, name="a")(inputs)), Objective(4, name="a"))
    learner.objective.build((None, 4))
    learner.compile(optimizer="sgd")
    with pytest.raises(ValueError, match="must have names of their own"):
        checkpoints.snapshot(learner, 1)


# The folder.


def test_a_run_is_opened_where_there_is_none(tmp_path):
    with open_run(tmp_path / "a" / "b", SMALL, SOUNDS) as done:
        assert done == Progress()
        assert files_of(tmp_path / "a" / "b") == [".lock"]


@pytest.mark.usefixtures("saved")
def test_the_same_run_goes_on(tmp_path):
    with open_run(tmp_path, SMALL, SOUNDS) as done:
        assert done == PROGRESS


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (changed(steps=6), "steps = 5, not 6"),
        (changed(network=NetworkConfig("mobilenet")), "network.architecture = 'little', not 'mobilenet'"),
        (
            changed(network=dataclasses.replace(SMALL.network, arguments={"channels": 5})),
            "network.arguments.channels = None, not 5",
        ),
        (changed(optimizer=Optimizer(2e-3)), "optimizer.learning_rate = 0.001, not 0.002"),
        (changed(objective={"kind": "triplet", "margin": 0.7}), "objective.margin = None, not 0.7"),
        (changed(max_separation_seconds=1.0), "max_separation_seconds = None, not 1.0"),
        (changed(augment={"gain": {}, "speed": {}}), r"augment = \['gain'\], not \['gain', 'speed'\]"),
        (changed(augment={"gain": {"low_db": -3}}), "augment.gain.low_db = None, not -3"),
    ],
)
@pytest.mark.usefixtures("saved")
def test_a_run_of_another_recipe_is_refused(tmp_path, config, words):
    message = rf"holds a run with {words}\. Choose another folder, or go on with the command that began it\.$"
    with pytest.raises(ValueError, match=message), open_run(tmp_path, config, SOUNDS):
        pass


def test_the_order_of_augmentations_counts(saved, tmp_path):
    forth, back = ({name: {} for name in names} for names in (("gain", "speed"), ("speed", "gain")))
    assert changed(augment=forth) == changed(augment=back)
    checkpoints.save({}, dataclasses.replace(PROGRESS, recipe=changed(augment=forth).to_toml()), saved[0])
    with (
        pytest.raises(ValueError, match="holds a run with augment = "),
        open_run(tmp_path, changed(augment=back), SOUNDS),
    ):
        pass


@pytest.mark.parametrize(
    ("sounds", "kind"), [({"corpus": "c", "noise": "b"}, "corpus"), ({"corpus": "a"}, "noise"), ({}, "corpus")]
)
@pytest.mark.usefixtures("saved")
def test_a_run_on_other_sound_is_refused(tmp_path, sounds, kind):
    with (
        pytest.raises(ValueError, match=rf"holds a run on other sound: the {kind} is another, or files were added"),
        open_run(tmp_path, SMALL, sounds),
    ):
        pass


def test_what_a_checkpoint_does_not_say_is_not_checked(saved, tmp_path):
    """As those written before recipe and sounds were kept in it."""
    header = {checkpoints.HEADER_KEY: json.dumps({"step": 3, "rows": [], "best": None})}
    safetensors.numpy.save_file({}, saved[0], header)
    with open_run(tmp_path, changed(steps=7), {"corpus": "c"}) as done:
        assert done == Progress(3)


def test_one_run_at_a_time(tmp_path):
    with open_run(tmp_path, SMALL, SOUNDS):
        for _ in range(2):
            with (
                pytest.raises(BlockingIOError, match=r"\.lock is held by another run\. Wait for it, or choose another"),
                open_run(tmp_path, SMALL, SOUNDS),
            ):
                pass
    with open_run(tmp_path, SMALL, SOUNDS):
        pass


@pytest.mark.parametrize("output", ["file", "file/run"])
def test_a_file_is_no_folder(tmp_path, output):
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(ValueError, match=rf"a run is a folder, .+{output} cannot be one: .+\. Choose another\.$"),
        open_run(tmp_path / output, SMALL, SOUNDS),
    ):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    left = [f".{name}.12345.safetensors" for name in ("checkpoint", "last", "best")] + [".log.1.csv", ".recipe.2.toml"]
    kept = [".mine.12345.safetensors", "last.1.safetensors", ".last.safetensors", ".lastly.1.safetensors"]
    for name in (*left, *kept):
        (tmp_path / name).write_text("half")
    with open_run(tmp_path, SMALL, SOUNDS):
        assert files_of(tmp_path) == sorted([*kept, ".lock"])
