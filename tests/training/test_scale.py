"""Two devices, two workers: the same figures and weights as one device with the same batches.

This file is also the program that a worker runs: `python -m tests.training.test_scale out.npz`.
"""

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile

from trill.training import scale
from trill.training.loop import Learner
from trill.training.triplet import TripletObjective

EPOCHS, STEPS, ROWS = 2, 3, 12


def batches():
    """Two rows of each of six clips in any order: most pairs are parted when rows are shared out."""
    for step in range(EPOCHS * STEPS):
        rng = np.random.default_rng((7, step))
        yield rng.normal(size=(ROWS, 8)).astype(np.float32), rng.permutation(np.arange(ROWS, dtype=np.int32) // 2)


def make_network():
    """Batch normalisation inside a model inside a model, as in an encoder after its front end; weights from a seed."""
    x = keras.Input((8,))
    encoder = keras.Sequential([keras.layers.Dense(6), keras.layers.BatchNormalization(), keras.layers.Dense(4)])
    network = keras.Model(x, {"embedding": encoder(x)})
    rng = np.random.default_rng(0)
    network.set_weights([abs(rng.normal(size=weight.shape)) for weight in network.weights])
    return network


def train():
    """Figures of each step and of the epochs, and the weights after: what must not depend on devices.

    The optimizer is not Adam, for which gradients twice as large are the same.
    """

    class Log(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            steps.append([float(logs[name]) for name in ("loss", "violating")])

    steps = []
    network = make_network()
    scale.synchronize_batch_norm(network)
    learner = Learner(network, TripletObjective())
    learner.compile(optimizer=keras.optimizers.SGD(0.05), jit_compile=keras.backend.backend() == "jax")
    rows, clips = next(batches())
    learner.objective(learner(rows), clips)
    learner.optimizer.build(learner.trainable_variables)
    history = learner.fit(
        scale.dataset(batches), shuffle=False, epochs=EPOCHS, steps_per_epoch=STEPS, callbacks=[Log()], verbose=0
    ).history
    weights = {f"weight {index}": weight for index, weight in enumerate(network.get_weights())}
    return {"steps": steps, "epochs": [history["loss"], history["violating"]], **weights}


def assert_same(trained, reference):
    assert set(trained) == set(reference)
    for name, expected in reference.items():
        np.testing.assert_allclose(trained[name], expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def reference():
    """Trained on one device, in this process."""
    trained = train()
    losses, violating = np.transpose(trained["steps"])
    assert len(set(losses)) == EPOCHS * STEPS
    assert (violating > 0).all()
    return trained


def run(folder, *environments, arguments=()):
    """What the workers write, one a environment, all at once."""
    outputs = [folder / f"{index}.npz" for index in range(len(environments))]
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.test_scale", str(output), *arguments],
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", **environment},
            cwd=Path(__file__).parents[2],
        )
        for environment, output in zip(environments, outputs, strict=True)
    ]
    try:
        assert [worker.wait(timeout=300) for worker in workers] == [0] * len(workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert (folder / "written").read_text() == "0"  # what the others write is theirs
    return [dict(np.load(output)) for output in outputs]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for taken in sockets:
        taken.bind(("127.0.0.1", 0))
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def test_two_devices_of_tensorflow_train_as_one(reference, tmp_path):
    [trained] = run(tmp_path, {}, arguments=["two devices"])
    without = {name.removeprefix("without "): trained.pop(name) for name in list(trained) if name.startswith("without")}
    assert trained.pop("replicas") == 2
    assert trained.pop("chief")
    assert_same(trained, reference)
    # The test sees what it is about: negatives of a share alone are others, and their loss is another.
    assert np.abs(without["steps"][0] - reference["steps"][0]).max() > 1e-3


def test_two_workers_of_tensorflow_train_as_one(reference, tmp_path):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    environments = [
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})} for index in (0, 1)
    ]
    workers = run(tmp_path, *environments)
    assert [worker.pop("replicas") for worker in workers] == [2, 2]
    assert [worker.pop("chief") for worker in workers] == [True, False]
    for trained in workers:
        assert_same(trained, reference)


ON_JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


def test_two_devices_of_jax_train_as_one(reference, tmp_path):
    pytest.importorskip("jax")
    [trained] = run(tmp_path, {**ON_JAX, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"})
    assert trained.pop("devices") == 2
    assert trained.pop("chief")
    assert_same(trained, reference)


@pytest.mark.slow
def test_two_workers_of_jax_train_as_one(reference, tmp_path):
    pytest.importorskip("jax")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    addresses = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": address, "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
    environments = [{**ON_JAX, **addresses, "KERAS_DISTRIBUTION_PROCESS_ID": str(index)} for index in (0, 1)]
    workers = run(tmp_path, *environments)
    assert [worker.pop("devices") for worker in workers] == [2, 2]
    assert [worker.pop("chief") for worker in workers] == [True, False]
    for trained in workers:
        assert_same(trained, reference)


RECIPE = """
steps = 4
batch_size = 8
checkpoint_every = 2
[network]
architecture = "mobilenet"
arguments = { width = 0.05, bottleneck = 8 }
[optimizer]
learning_rate = 1e-4
"""


@pytest.mark.slow
def test_the_command_trains_with_workers_as_alone(tmp_path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for index in range(6):
        sound = np.random.default_rng(index).normal(0, 0.1, 30_000 + 1_000 * index)
        soundfile.write(sounds / f"{index}.wav", sound.clip(-1, 1), 16_000)
    (tmp_path / "recipe.toml").write_text(RECIPE)

    def train(output, **environment):
        command = ["-m", "trill", "train", sounds, "-o", output, "--recipe", tmp_path / "recipe.toml"]
        return subprocess.Popen(
            [sys.executable, *map(str, command), "--cache", str(tmp_path / "cache")],
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", **environment},
        )

    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    workers = [train(tmp_path / "together", TF_CONFIG=json.dumps(task)) for task in tasks]
    assert [worker.wait(timeout=300) for worker in [train(tmp_path / "alone"), *workers]] == [0, 0, 0]
    alone, together = (
        list(csv.DictReader((tmp_path / name / "log.csv").read_text().splitlines())) for name in ("alone", "together")
    )
    assert [row["step"] for row in together] == ["2", "4"]
    for one, other in zip(alone, together, strict=True):
        assert float(other["loss"]) == pytest.approx(float(one["loss"]), abs=1e-4)
        assert other["violating"] == one["violating"]


def test_one_device_needs_nothing():
    import tensorflow as tf

    stream = batches()
    with scale.scope():
        assert not tf.distribute.has_strategy()
        assert (scale.replicas(), scale.is_chief()) == (1, True)
        assert scale.dataset(lambda: stream) is stream
        assert scale.gather(stream) is stream


def test_batches_share_evenly(monkeypatch):
    monkeypatch.setattr(scale, "replicas", lambda: 5)
    with pytest.raises(ValueError, match=r"share evenly among the devices, got 12 rows for 5\. Take a multiple of 5\."):
        scale.dataset(batches)


def main(output, devices="one device"):
    if devices == "two devices":
        import tensorflow as tf

        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    with scale.scope(), scale.scope():  # what is in force stays
        trained = train() | {"replicas": scale.replicas(), "chief": scale.is_chief()}
        if keras.backend.backend() == "jax":
            assert trained.pop("replicas") == 1  # arrays are global
            outer = keras.distribution.distribution()
            with scale.scope():
                assert keras.distribution.distribution() is outer
            trained["devices"] = outer.device_mesh.devices.size
        if devices == "two devices":
            scale.gather = lambda rows: rows
            trained |= {f"without {name}": value for name, value in train().items()}
        with scale.folder_of_worker(Path(output).parent) as folder:
            (folder / "written").write_text(Path(output).stem)
    np.savez(output, **trained)


if __name__ == "__main__":
    main(*sys.argv[1:])
