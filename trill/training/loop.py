"""One loop for every objective: Keras' `fit` over batches that are functions of the step, with exact resumption.

A run is a folder:

    recipe.toml            what is trained, and how
    checkpoint.safetensors the state after the last whole round
    last.safetensors       the network then; `trill.load` opens it
    best.safetensors       the network with the best validation score, where there is validation
    log.csv                a line a round
"""

import contextlib
import csv
import dataclasses
import functools
import gc
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from trill.files import write_atomically
from trill.networks import normalization, saving
from trill.parallel import map_in_threads
from trill.progress import progress
from trill.training import checkpoints, scale
from trill.training.checkpoints import BEST, CHECKPOINT, GENTLER, LAST, LOG, RECIPE, DivergedError, Progress
from trill.training.muon import Muon
from trill.training.recipes import Optimizer, TrainConfig

# step -> what the network takes, what the objective takes
Batches = Callable[[int], tuple[Any, Any]]
BATCH_THREADS = 2
AVERAGED_BATCHES = 16  # that batch normalisation of averaged weights takes its statistics from


class Learner(keras.Model):
    """A network and what it is taught.

    Args:
        network: from what `Batches` gives first to its taps.
        objective: a layer from those taps and what `Batches` gives second to a dict with `loss` and the scalars that
            its attribute `figures` names. Its weights, if it has any, are trained and not part of the network.
        shards: equal parts of a batch that go through the network side by side while it trains.
    """

    def __init__(self, network: keras.Model, objective: keras.layers.Layer, shards: int = 1) -> None:
        super().__init__(name="learner", dtype="float32")  # waveforms are not to be rounded, whatever the precision
        self.network, self.objective, self.shards = network, objective, shards
        self.trackers = [keras.metrics.Mean(name=name) for name in objective.figures]

    def build(self, input_shape: Any = None) -> None:
        """Nothing: the network is built, the objective builds itself."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.shards == 1:
            return self.network(inputs, training=training)
        parts = [self.network(part, training=True) for part in keras.ops.split(inputs, self.shards)]
        return {tap: keras.ops.concatenate([part[tap] for part in parts]) for tap in parts[0]}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        figures = self.objective(y_pred, y)
        for tracker in self.trackers:
            tracker.update_state(figures[tracker.name])
        return figures["loss"] / scale.replicas()


def fit(
    learner: Learner,
    batches: Batches,
    config: TrainConfig,
    output: Path,
    *,
    sounds: dict[str, str] | None = None,
    validate: Callable[[keras.Model], float] | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
    quiet: bool = False,
) -> Progress:
    """Train, from the checkpoint in `output` on if there is one.

    Args:
        learner: with new weights.
        batches: step -> batch, the same whenever it is asked; called from threads.
        config: steps, optimizer, checkpoint interval, and the network's description for what is saved.
        output: the run's folder, which the caller holds by `checkpoints.open_run`.
        sounds: fingerprints of what is trained on, kept with the checkpoint for `checkpoints.open_run`.
        validate: network -> score, higher is better; asked at every checkpoint.
        report: told each line of the log.
        quiet: no progress bar.

    Raises:
        DivergedError: if the loss or a weight is no longer finite; the last good checkpoint is kept.
        ModelError: if the checkpoint is of another network.
        OSError: if the disk is full, likewise.
    """
    optimizer = make_optimizer(config.optimizer, config.steps)
    if config.precision == "mixed_float16":  # small gradients would be 0; float32 and bfloat16 reach far enough down
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    learner.compile(optimizer=optimizer)
    inputs, targets = batches(0)
    learner.objective(learner(inputs), targets)  # makes its weights
    learner.optimizer.build(learner.trainable_variables)
    path, recipe = output / CHECKPOINT, config.to_toml()
    done = checkpoints.restore(learner, path) if path.exists() else Progress()
    done = dataclasses.replace(done, recipe=recipe, sounds=sounds or {})
    try:
        with _ctrl_c_waits() as asked, scale.folder_of_worker(output) as folder:
            with write_atomically(folder / RECIPE) as temporary:
                temporary.write_text(recipe, encoding="utf-8")
            recorder = Recorder(config, folder, done, asked, batches, validate, report, quiet)
            with recorder.bar:
                # Keras calls a round of steps between two checkpoints an epoch; the last may be shorter.
                while left := config.steps - recorder.done.step:
                    every = min(config.checkpoint_every, left)
                    steps = range(recorder.done.step, recorder.done.step + left // every * every)
                    stream = functools.partial(_in_order, batches, steps)
                    learner.fit(
                        scale.dataset(stream),
                        epochs=left // every,
                        steps_per_epoch=every,
                        callbacks=[recorder],
                        shuffle=False,
                        verbose=0,
                    )
                    if asked.is_set():
                        raise KeyboardInterrupt
    except (DivergedError, KeyboardInterrupt, OSError) as error:
        raise error.with_traceback(None) from None  # which would keep what is collected here
    finally:
        gc.collect()  # Keras' iterator over the batches: TensorFlow complains of one when a process ends
    return recorder.done


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[threading.Event]:
    """Let Ctrl-C set an event, which is heeded after the step. A second Ctrl-C does not wait.

    Raised in the midst of a framework, it was now and then lost, or the process crashed.
    """
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked  # never set: the caller minds Ctrl-C
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _in_order(batches: Batches, steps: range) -> Iterator[Any]:
    return map_in_threads(batches, iter(steps), BATCH_THREADS)


class Recorder(keras.callbacks.Callback):
    """What happens after each step and each round: the check, the bar, validation, the log, checkpoints."""

    def __init__(
        self,
        config: TrainConfig,
        output: Path,
        done: Progress,
        asked: threading.Event,
        batches: Batches,
        validate: Callable[[keras.Model], float] | None,
        report: Callable[[dict[str, float]], None] | None,
        quiet: bool,
    ) -> None:
        super().__init__()
        self.config, self.output, self.done, self.asked = config, output, done, asked
        self.batches, self.validate, self.report = batches, validate, report
        self.raw: list[tuple[Any, Any]] = []  # weights as they are trained, where averages are saved
        self.step, size = done.step, config.batch_size
        self.bar = progress((), total=config.steps * size, done=done.step * size, unit="windows", quiet=quiet)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        figures = {name: float(value) for name, value in logs.items()}  # means since the last checkpoint
        if not math.isfinite(figures["loss"]):
            raise DivergedError(f"the loss must be finite, got {figures['loss']} at step {self.step:,}. {GENTLER}")
        self.bar.update(self.config.batch_size)
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in figures.items()}, refresh=False)
        if self.asked.is_set():
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.step < min(self.done.step + self.config.checkpoint_every, self.config.steps):
            return  # stopped in the midst of a round
        seconds = time.monotonic() - self.began
        rate = (self.step - self.done.step) * self.config.batch_size / seconds
        earlier = self.done.rows[-1]["seconds"] if self.done.rows else 0.0
        row = {"step": self.step, "seconds": round(earlier + seconds, 1), "examples_per_second": round(rate, 1)}
        row |= {name: float(value) for name, value in logs.items()}
        network, best = self.model.network, self.done.best
        state = checkpoints.snapshot(self.model, self.step)  # before anything is written
        with self._averaged():
            if self.validate:
                row["validation"] = self.validate(network)
            saving.save(network, self.config.network, self.output / LAST)
            if self.validate and (best is None or row["validation"] > best):
                best = row["validation"]
                saving.save(network, self.config.network, self.output / BEST)
        done = dataclasses.replace(self.done, step=self.step, rows=(*self.done.rows, row), best=best)
        write_log(done.rows, self.output / LOG)
        # Last: with the checkpoint of its last step a run is whole. Cut short before, the round is trained again and
        # all of this written again, the same.
        checkpoints.save(state, done, self.output / CHECKPOINT)
        self.done = done
        if self.report:
            self.report(row)

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averages of the weights in their place, where they are asked for, while the block runs."""
        if not self.config.optimizer.average:
            yield
            return
        variables = self.model.trainable_variables
        self.raw = [(each, each.numpy()) for each in (*variables, *self.model.network.non_trainable_variables)]
        self.model.optimizer.finalize_variable_values(variables)
        normalization.estimate(self.model.network, (self.batches(self.step + i)[0] for i in range(AVERAGED_BATCHES)))
        try:
            yield
        finally:
            self._put_back()

    def _put_back(self) -> None:
        for variable, value in self.raw:
            variable.assign(value)

    def on_train_begin(self, logs: Any = None) -> None:
        if self.raw:  # `fit` puts the averages in place when it ends, and this is another
            self._put_back()


def write_log(rows: tuple[dict[str, float], ...], path: Path) -> None:
    with write_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


def make_optimizer(config: Optimizer, steps: int) -> keras.optimizers.Optimizer:
    """Adam, AdamW where weights decay, or Muon, with its schedule over `steps`. To be called in `scale.scope`.

    TensorFlow's replicas clip their gradients before they are added up: each to its share of the limit, so that the sum
    keeps to it.
    """
    peak, warmup = config.learning_rate, config.warmup_steps
    end = 0.0 if config.schedule == "cosine" else 1.0
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else peak,
        max(1, steps - warmup),
        alpha=end,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )
    limit = config.clip_norm / scale.replicas() or None
    common = {"global_clipnorm": limit, "use_ema": config.average > 0, "ema_momentum": config.average}
    make = Muon if config.kind == "muon" else keras.optimizers.Adam
    return make(rate, weight_decay=config.weight_decay or None, **common)
