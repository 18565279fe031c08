"""The loop: stopped anywhere it ends as if it had not been, and what goes wrong costs a round."""

import dataclasses
import errno
import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.runs import SMALL, assert_same_run, changed, files_of, little_known, log, weights
from trill.networks import frontend, normalization, saving
from trill.training import checkpoints, loop
from trill.training.checkpoints import DivergedError
from trill.training.recipes import Optimizer
from trill.training.triplet import TripletObjective

WINDOW = SMALL.network.frontend.window_samples


@pytest.fixture(autouse=True, scope="module")
def _little():
    with little_known():
        yield


def batches(step):
    rng = np.random.default_rng(step)
    return rng.normal(0, 0.1, (8, WINDOW)).astype(np.float32), np.repeat(np.arange(4, dtype=np.int32), 2)


def make_learner(config=SMALL, objective=TripletObjective):
    keras.utils.set_random_seed(config.seed)
    return loop.Learner(saving.build(config.network), objective(), config.shards)


def score(network):
    """A number that depends on all weights, and statistics, of the network."""
    return float(np.mean(network.predict_on_batch(batches(99)[0])["embedding"]))


def fit(output, config=SMALL, source=batches, objective=TripletObjective, **options):
    learner = make_learner(config, objective)
    with checkpoints.open_run(output, config, {}):
        return loop.fit(learner, source, config, output, quiet=True, **{"validate": score, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing stopped."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    done = fit(output)
    assert (done.step, [row["step"] for row in done.rows]) == (5, [2, 4, 5])
    return output


class Policy:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        keras.config.set_dtype_policy(self.name)

    def __exit__(self, *_):
        keras.config.set_dtype_policy("float32")


# Stopped and resumed.


def stop_at_write(monkeypatch, number):
    """The process gets no further than just before the write of this number is seen."""
    replace, writes = os.replace, []

    def stopping(source, target):
        writes.append(target)
        if len(writes) == number:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopping)
    return writes


def test_stopped_at_any_write_it_ends_the_same(whole, tmp_path, monkeypatch):
    """One folder, stopped at a write, gone on with, stopped at the next: five a round, and one to begin with."""
    seen = []
    for number in range(1, 7):
        with monkeypatch.context() as patch:
            writes = stop_at_write(patch, number)
            with pytest.raises(KeyboardInterrupt):
                fit(tmp_path / "run")
            seen.append(Path(writes[-1]).name)
    fit(tmp_path / "run")
    assert set(seen) == {"recipe.toml", "last.safetensors", "best.safetensors", "log.csv", "checkpoint.safetensors"}
    assert_same_run(tmp_path / "run", whole, ("checkpoint", "last", "best"))
    assert files_of(tmp_path / "run") == files_of(whole)


def test_stopped_at_any_step_it_ends_the_same(whole, tmp_path, monkeypatch):
    """Each process gets two steps further than the last checkpoint, or one: rounds and leftovers of rounds."""
    after = loop.Recorder.on_train_batch_end
    for stop in (1, 3, 5):
        with monkeypatch.context() as patch:

            def stopping(self, batch, logs=None, stop=stop):
                if self.step + 1 == stop:
                    raise KeyboardInterrupt
                after(self, batch, logs)

            patch.setattr(loop.Recorder, "on_train_batch_end", stopping)
            with pytest.raises(KeyboardInterrupt) as error:
                fit(tmp_path / "run")
        kept = stop - 1
        assert error.value.__notes__ == [
            f"{tmp_path}/run keeps the checkpoint of step {kept}. The same command goes on from there."
            if kept
            else f"{tmp_path}/run has no checkpoint yet."
        ]
    done = fit(tmp_path / "run")
    assert done.step == 5
    assert_same_run(tmp_path / "run", whole, ("checkpoint", "last", "best"))


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_waits_for_the_step_and_a_second_does_not(whole, tmp_path, monkeypatch, times):
    after, heard = loop.Recorder.on_train_batch_end, []

    def pressing(self, batch, logs=None):
        if self.step == 2:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        after(self, batch, logs)
        heard.append(self.step)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Recorder, "on_train_batch_end", pressing)
        with pytest.raises(
            KeyboardInterrupt, match=r"run keeps the checkpoint of step 2\. The same command goes on from"
        ):
            fit(tmp_path / "run")
    assert heard == [1, 2, 3][: 4 - times]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    fit(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole, ("checkpoint", "last", "best"))


def test_a_program_that_minds_ctrl_c_itself_is_let(tmp_path):
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("pressed"))
    try:
        assert fit(tmp_path / "run", report=lambda _: signal.raise_signal(signal.SIGINT)).step == 5
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["pressed"] * 3


def test_the_last_checkpoint_is_the_last_thing_written(tmp_path, monkeypatch):
    """So what stands beside a whole run's checkpoint is whole."""
    writes = stop_at_write(monkeypatch, -1)
    fit(tmp_path / "run", changed(steps=1))
    assert Path(writes[-1]).name == "checkpoint.safetensors"


def test_a_finished_run_is_left_as_it_is(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert fit(tmp_path / "run").step == 5
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_batch_is_asked_for_by_its_step(tmp_path):
    asked = []
    fit(tmp_path / "run", source=lambda step: asked.append(step) or batches(step))
    assert sorted(asked) == [0, 0, 1, 2, 3, 4]  # the first also builds what has to be built


# Averages of the weights.


AVERAGING = changed(optimizer=dataclasses.replace(SMALL.optimizer, average=0.7), steps=5, checkpoint_every=2)


def test_what_is_saved_is_the_average(tmp_path):
    """Of the weights after each step, which another run of the same steps shows; the first counts whole."""
    fit(tmp_path / "run", AVERAGING)
    each = dataclasses.replace(AVERAGING, checkpoint_every=1)
    steps = []
    fit(tmp_path / "each", each, report=lambda _: steps.append(weights(tmp_path / "each" / "checkpoint.safetensors")))
    names = [name for name in weights(tmp_path / "run" / "last.safetensors") if "moving" not in name]
    assert names
    for name in names:
        average = steps[0][name].astype(np.float64)
        for step in steps[1:]:
            average = 0.7 * average + 0.3 * step[name]
        last = weights(tmp_path / "run" / "last.safetensors")[name]
        np.testing.assert_allclose(last, average, rtol=1e-4, atol=1e-7)
        raw = weights(tmp_path / "run" / "checkpoint.safetensors")[name]
        np.testing.assert_array_equal(raw, steps[-1][name])
    assert any(not np.array_equal(weights(tmp_path / "run" / "last.safetensors")[name], raw) for name in names)


def test_averages_have_statistics_of_their_own(tmp_path):
    """The mean of what comes before each normalisation, over batches, of the saved weights."""
    fit(tmp_path / "run", AVERAGING)
    network, _ = saving.load(tmp_path / "run" / "last.safetensors")
    found = list(normalization.layers(network))
    first = keras.Model(network.get_layer("little").input, found[0].input)
    seen = [frontend.log_mel(batches(5 + index)[0], SMALL.network.frontend) for index in range(loop.AVERAGED_BATCHES)]
    before = [np.asarray(first(log_mel)) for log_mel in seen]
    means = np.mean([each.mean(axis=(0, 1, 2)) for each in before], axis=0)
    variances = np.mean([each.var(axis=(0, 1, 2)) for each in before], axis=0)
    np.testing.assert_allclose(found[0].moving_mean, means, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found[0].moving_variance, variances, rtol=1e-3)
    assert all(layer.momentum == 0.99 for layer in found)


def test_averages_are_resumed(tmp_path, monkeypatch):
    fit(tmp_path / "whole", AVERAGING)
    with monkeypatch.context() as patch:
        stop_at_write(patch, 7)  # in the second round
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run", AVERAGING)
    fit(tmp_path / "run", AVERAGING)
    assert_same_run(tmp_path / "run", tmp_path / "whole", ("checkpoint", "last", "best"))


# What is written.


def test_the_log_has_a_line_a_round(whole):
    rows = log(whole)
    assert list(rows[0]) == ["step", "seconds", "examples_per_second", "loss", "violating", "validation"]
    assert all(row["examples_per_second"] > 0 for row in rows)
    assert np.all(np.diff([row["seconds"] for row in rows]) >= 0)


def test_figures_are_means_of_the_round(tmp_path):
    config = changed(steps=4, optimizer=Optimizer(1e-12))  # in which nothing moves
    fit(tmp_path / "each", dataclasses.replace(config, checkpoint_every=1))
    fit(tmp_path / "two", dataclasses.replace(config, checkpoint_every=2))
    each, two = log(tmp_path / "each"), log(tmp_path / "two")
    for name in ("loss", "violating"):
        expected = np.reshape([row[name] for row in each], (2, 2)).mean(axis=1)
        np.testing.assert_allclose([row[name] for row in two], expected, rtol=1e-5)


def test_the_best_network_is_kept(tmp_path):
    scores = iter([0.3, 0.5, 0.5, 0.4])
    seen = {}

    def validate(network):
        score = next(scores)
        seen.setdefault(score, network.get_weights())
        return score

    output = tmp_path / "run"
    config = changed(steps=4, checkpoint_every=1)
    done = fit(output, config, validate=validate)
    assert (done.best, [row["validation"] for row in done.rows]) == (0.5, [0.3, 0.5, 0.5, 0.4])
    best, found = saving.load(output / "best.safetensors")
    assert found == config.network
    for one, other in zip(best.get_weights(), seen[0.5], strict=True):
        np.testing.assert_array_equal(one, other)
    last, _ = saving.load(output / "last.safetensors")
    for one, other in zip(last.get_weights(), seen[0.4], strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_line_is_reported_when_its_checkpoint_stands(tmp_path):
    told = []
    fit(tmp_path / "run", report=lambda row: told.append((row, weights(tmp_path / "run" / "checkpoint.safetensors"))))
    assert [row["step"] for row, _ in told] == [2, 4, 5]
    assert all(any(name.startswith("optimizer/") for name in tensors) for _, tensors in told)


# What goes wrong.


@pytest.mark.parametrize("name", ["last", "checkpoint"])
def test_a_full_disk_costs_a_round(whole, tmp_path, monkeypatch, name):
    write, count = Path.write_bytes, 0

    def full(path, data):
        nonlocal count
        count += path.name.startswith(f".{name}.")
        if count == 2:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left") as error:
            fit(tmp_path / "run", validate=None)
    assert error.value.__notes__ == [
        f"{tmp_path}/run keeps the checkpoint of step 2. The same command goes on from there."
    ]
    assert [left for left in files_of(tmp_path / "run") if left.startswith(".")] == [".lock"]
    fit(tmp_path / "run", validate=None)
    one, other = weights(tmp_path / "run" / "checkpoint.safetensors"), weights(whole / "checkpoint.safetensors")
    assert one.keys() == other.keys()
    for tensor in one:
        np.testing.assert_array_equal(one[tensor], other[tensor])


def test_a_loss_that_is_no_number_stops_the_run(whole, tmp_path):
    def broken(step):
        windows, clips = batches(step)
        return (windows * np.nan if step == 3 else windows), clips

    with pytest.raises(DivergedError) as error:
        fit(tmp_path / "run", source=broken)
    assert str(error.value).startswith("the loss must be finite, got nan at step 4. Lower learning_rate, set clip_norm")
    assert error.value.__notes__ == [f"{tmp_path}/run keeps the checkpoint of step 2."]
    fit(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole, ("checkpoint", "last", "best"))


class Steep(keras.layers.Layer):
    """A loss of 0 with a gradient that is no number."""

    figures = ()

    def call(self, outputs, _):
        return {"loss": keras.ops.sqrt(0.0 * keras.ops.sum(outputs["embedding"]))}


def test_weights_that_are_no_numbers_are_not_kept(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name != "recipe.toml"}
    learner = make_learner(objective=Steep)
    with pytest.raises(DivergedError, match=r"^weights must be finite, \d+ are not after step 6, as .+\. Lower learn"):
        loop.fit(learner, batches, changed(steps=6), tmp_path / "run", quiet=True)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in kept} == kept


def test_a_learning_rate_too_high_stops_the_run(tmp_path):
    config = changed(optimizer=Optimizer(1e30), checkpoint_every=5)
    with pytest.raises(DivergedError, match=r"must be finite, .+ Lower learning_rate"):
        fit(tmp_path / "run", config)
    assert files_of(tmp_path / "run") == [".lock", "recipe.toml"]


# Precision.


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_resumes_and_saves_float32(tmp_path, monkeypatch, precision):
    config = changed(precision=precision, steps=2, checkpoint_every=1)
    with Policy(precision):
        fit(tmp_path / "whole", config)
        with monkeypatch.context() as patch:
            stop_at_write(patch, 6)  # the first of the second round
            with pytest.raises(KeyboardInterrupt):
                fit(tmp_path / "run", config)
        fit(tmp_path / "run", config)
    assert_same_run(tmp_path / "run", tmp_path / "whole", ("checkpoint", "last", "best"))
    assert {tensor.dtype for tensor in weights(tmp_path / "run" / "last.safetensors").values()} == {np.dtype("float32")}
    network, _ = saving.load(tmp_path / "run" / "last.safetensors")
    assert {layer.compute_dtype for layer in network.layers[-1].layers} == {"float32"}


class Faint(keras.layers.Layer):
    """A loss whose gradients are less than float16 can hold: 6e-8."""

    figures = ()

    def call(self, outputs, _):
        return {"loss": 1e-8 * keras.ops.sum(keras.ops.square(keras.ops.cast(outputs["embedding"], "float32")))}


def test_float16_keeps_small_gradients(tmp_path):
    config = changed(precision="mixed_float16", steps=1, optimizer=Optimizer(1e-3))
    with Policy("mixed_float16"):
        learner = make_learner(config, Faint)
        kernels = [variable for variable in learner.network.trainable_variables if variable.name == "kernel"]
        before = [kernel.numpy() for kernel in kernels]
        loop.fit(learner, batches, config, tmp_path, quiet=True)
    assert len(kernels) == 2
    assert all((kernel.numpy() != old).any() for kernel, old in zip(kernels, before, strict=True))


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_waveforms_are_not_rounded(monkeypatch, precision):
    seen = []
    log_mel = frontend.log_mel
    monkeypatch.setattr(
        frontend, "log_mel", lambda waveform, config: seen.append(waveform) or log_mel(waveform, config)
    )
    with Policy(precision):
        learner = make_learner()
        del seen[:]
        learner(batches(0)[0])
    np.testing.assert_array_equal(seen[0], batches(0)[0])


# The optimizer.


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (Optimizer(0.5), [0.5] * 6),
        (Optimizer(0.5, warmup_steps=2), [0, 0.25, 0.5, 0.5, 0.5, 0.5]),
        (Optimizer(0.5, "cosine"), [0.25 * (1 + np.cos(np.pi * step / 5)) for step in range(6)]),
        (Optimizer(0.5, "cosine", warmup_steps=2), [0, 0.25, 0.5, 0.375, 0.125, 0]),
        (Optimizer(0.5, warmup_steps=20), [0, 0.025, 0.05, 0.075, 0.1, 0.125]),
    ],
)
def test_the_schedule(optimizer, expected):
    rates = []
    made = loop.make_optimizer(optimizer, steps=5)
    made.build([keras.Variable(0.0)])
    for step in range(6):
        made.iterations.assign(step)
        rates.append(float(made.learning_rate))
    np.testing.assert_allclose(rates, expected, atol=1e-7)


def test_weights_decay_and_gradients_are_clipped():
    variable = keras.Variable([1.0, 1.0])
    decaying = loop.make_optimizer(Optimizer(0.1, weight_decay=0.5), steps=5)
    decaying.apply([keras.ops.zeros(2)], [variable])
    np.testing.assert_allclose(variable, [0.95, 0.95])
    assert loop.make_optimizer(Optimizer(clip_norm=2.0), 5).global_clipnorm == 2.0
    assert loop.make_optimizer(Optimizer(), 5).global_clipnorm is None
    assert loop.make_optimizer(Optimizer(), 5).weight_decay is None


class TestMuon:
    @pytest.fixture
    def step(self):
        """A function from a gradient, and a variable of its shape, to what the first step at rate 1 changes."""

        def step(gradient):
            variable = keras.Variable(np.zeros(gradient.shape, np.float32))
            loop.make_optimizer(Optimizer(1.0, kind="muon"), steps=5).apply([keras.ops.array(gradient)], [variable])
            return variable.numpy()

        return step

    def test_a_kernel_goes_as_far_in_every_direction(self, step):
        rng = np.random.default_rng(0)
        gradient = rng.normal(size=(3, 3, 4, 6)).astype(np.float32) * np.geomspace(0.03, 1, 6, dtype=np.float32)
        change = step(gradient).reshape(36, 6)
        spread = np.linalg.svd(change, compute_uv=False)
        # Newton and Schulz leave .7 to 1.2 of one; times .2 and the root of the longer side.
        assert (spread / (0.2 * 6) > 0.6).all()
        assert (spread / (0.2 * 6) < 1.3).all()
        left, _, right = np.linalg.svd(gradient.reshape(36, 6), full_matrices=False)
        np.testing.assert_array_less(0.55, -np.diag(left.T @ change @ right.T) / (0.2 * 6))

    @pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 3, 4, 1), (3, 3, 1, 6)])
    def test_all_else_is_left_to_adam(self, step, shape):
        gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        np.testing.assert_allclose(step(gradient), -np.sign(gradient) / 3, rtol=0.01)

    def test_all_weights_decay(self):
        kernel, bias = (keras.Variable(np.ones(shape, np.float32)) for shape in ((1, 1, 2, 2), 2))
        optimizer = loop.make_optimizer(Optimizer(0.1, weight_decay=0.5, kind="muon"), steps=5)
        optimizer.apply([keras.ops.zeros((1, 1, 2, 2)), keras.ops.zeros(2)], [kernel, bias])
        np.testing.assert_allclose(kernel, np.full((1, 1, 2, 2), 0.95))
        np.testing.assert_allclose(bias, [0.95, 0.95])

    def test_a_run_goes_on_as_if_it_had_not_been_stopped(self, tmp_path, monkeypatch):
        config = changed(optimizer=dataclasses.replace(SMALL.optimizer, kind="muon"), steps=3, checkpoint_every=1)
        fit(tmp_path / "whole", config)
        with monkeypatch.context() as patch:
            stop_at_write(patch, 6)
            with pytest.raises(KeyboardInterrupt):
                fit(tmp_path / "run", config)
        fit(tmp_path / "run", config)
        assert_same_run(tmp_path / "run", tmp_path / "whole", ("checkpoint", "last", "best"))


# Shards.


def test_shards_learn_the_same(tmp_path):
    """A network without batch normalisation, that is; triplets are mined in the whole batch."""
    network = dataclasses.replace(SMALL.network, arguments={"batch_norm": False})
    for name, shards in (("whole", 1), ("shared", 4)):
        fit(tmp_path / name, changed(network=network, shards=shards))
    for name, tensor in weights(tmp_path / "whole" / "last.safetensors").items():
        np.testing.assert_allclose(weights(tmp_path / "shared" / "last.safetensors")[name], tensor, atol=1e-5)
    losses = [[row["loss"] for row in log(tmp_path / name)] for name in ("whole", "shared")]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_shards_are_normalised_alone():
    learner = make_learner(changed(shards=2))
    x, _ = batches(0)
    x[4:] *= 100
    whole, half = learner(x, training=True)["embedding"], learner.network(x[:4], training=True)["embedding"]
    np.testing.assert_allclose(whole[:4], half, rtol=1e-4, atol=1e-6)
    assert np.abs(learner.network(x, training=True)["embedding"][:4] - half).max() > 1e-3
