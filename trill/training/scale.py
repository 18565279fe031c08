"""Several devices, several workers: what the frameworks do, asked for in one place.

The surroundings choose (`scope`), the same `fit` trains, and the figures are those of one device with the same
batches. Each device gets an equal share of a batch. Negatives come from the whole batch: every device gathers the
embeddings and clips of all and mines in them (`gather`), so the loss that each computes is that of the whole batch. It
is divided by `replicas()`, for optimizers add the gradients of all devices up. On JAX arrays are global: nothing is
gathered, nothing divided. What is not as on one device: TensorFlow's optimizers clip the gradients of each replica,
before they are added up.

What every worker must share: the command, the seed, and a file system with the run's folder.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from trill.networks import normalization


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Train on all that is there: network, objective, model and optimizer are built and fitted inside.

    | backend | surroundings | what is used |
    |---|---|---|
    | TensorFlow | `TF_CONFIG` names several workers | `tf.distribute.MultiWorkerMirroredStrategy` |
    | TensorFlow | several GPUs, or several logical CPUs | `tf.distribute.MirroredStrategy` |
    | JAX | `KERAS_DISTRIBUTION_JOB_ADDRESSES` and its kin | `keras.distribution.initialize`, then the next row |
    | JAX | several devices | `keras.distribution.DataParallel` |

    One device needs nothing, and a strategy or distribution that is already in force stays. Several workers are joined
    here, so a process of theirs must enter before it computes anything.

    Raises:
        RuntimeError: by TensorFlow or JAX, if one of several workers has computed something before.
    """
    with _of_jax() if keras.backend.backend() == "jax" else _of_tensorflow():
        yield


def _of_jax() -> Any:
    import jax

    if "KERAS_DISTRIBUTION_JOB_ADDRESSES" in os.environ and not jax.distributed.is_initialized():
        keras.distribution.initialize()
    if keras.distribution.distribution() is not None or len(keras.distribution.list_devices()) == 1:
        return contextlib.nullcontext()
    return keras.distribution.DataParallel().scope()


def _of_tensorflow() -> Any:
    import tensorflow as tf

    if tf.distribute.has_strategy():
        return contextlib.nullcontext()
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    if len(cluster.get("chief", [])) + len(cluster.get("worker", [])) > 1:
        return _multi_worker().scope()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return contextlib.nullcontext()
    return tf.distribute.MirroredStrategy([device.name for device in devices]).scope()


def _multi_worker() -> Any:
    """TensorFlow's strategy with a `reduce` that takes what `fit` of Keras 3 hands it.

    That is a tuple (inputs, targets), and scalars to be averaged along axis 0; TensorFlow knows neither and raises
    `Attempt to convert a value (PerReplica…`: https://github.com/keras-team/keras/issues/20585.
    """
    import tensorflow as tf

    class MultiWorker(tf.distribute.MultiWorkerMirroredStrategy):
        def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
            def reduced(part: Any) -> Any:
                rank = self.experimental_local_results(part)[0].shape.rank
                return super(MultiWorker, self).reduce(reduce_op, part, axis if rank else None)

            return keras.tree.map_structure(reduced, value)

    return MultiWorker()


def dataset(batches: Callable[[], Iterator[Any]]) -> Any:
    """What `fit` takes as `x`: the iterator itself on one device, else a `tf.data.Dataset` cut into shares.

    Every worker makes every batch and keeps its share of it.

    Args:
        batches: starts the batches anew, the same at each call and in each worker. An item is the whole batch: arrays,
            or tuples and dicts of them, `(batch, ...)` and of one shape throughout. Called once on one device, more
            often on several: Keras looks at a batch before it begins.

    Raises:
        ValueError: if the rows of a batch are no multiple of the devices.
    """
    if replicas() == 1 and _processes() == 1:
        return batches()
    import tensorflow as tf

    first = next(batches())
    rows = len(keras.tree.flatten(first)[0])
    if rows % replicas():
        raise ValueError(
            f"a batch must share evenly among the devices, got {rows} rows for {replicas()}. "
            f"Take a multiple of {replicas()}."
        )
    signature = keras.tree.map_structure(lambda array: tf.TensorSpec(array.shape, array.dtype), first)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    whole = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return whole.prefetch(tf.data.AUTOTUNE).with_options(options)


def synchronize_batch_norm(network: Any) -> None:
    """Let batch normalisation use the statistics of the whole batch, in place. To be called in `scope`.

    Without it each of TensorFlow's replicas normalises its share: another loss, and moving averages that drift apart.
    """
    for layer in normalization.layers(network):
        layer.synchronized = replicas() > 1


@contextlib.contextmanager
def folder_of_worker(folder: Path) -> Iterator[Path]:
    """Where this worker writes what all write: `folder` for the chief, for others one that is removed. In `scope`.

    To save and to validate makes networks and reads weights, and workers do that together or not at all: one that did
    it alone would wait for the others for ever.
    """
    if is_chief():
        yield folder
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


def is_chief() -> bool:
    """Whether this worker is the one that speaks: the first of several, or the only one. To be asked in `scope`."""
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.process_index() == 0)
    import tensorflow as tf

    return bool(tf.distribute.get_strategy().extended.should_checkpoint)


def replicas() -> int:
    """How many devices share a batch, as the code inside a step sees it: 1 on JAX."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def gather(rows: Any) -> Any:
    """The rows of all devices, `(batch, ...)`, in every one of them; gradients flow back to where rows came from.

    Outside a step, and on JAX, rows are those of the whole batch already.
    """
    if replicas() == 1:
        return rows
    import tensorflow as tf

    if tf.distribute.in_cross_replica_context():
        return rows
    # The identity stands on this replica's device; rows straight from a dataset stand on none, and workers need one.
    return tf.distribute.get_replica_context().all_gather(tf.identity(rows), axis=0)


def _processes() -> int:
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return int(jax.process_count())
