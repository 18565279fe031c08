"""TRILL's objective in three parts that indices join: distances, the semi-hard miner, the hinge.

Shor et al. 2020, section 3.1, equation 1; Schroff et al. 2015 (FaceNet), arXiv:1503.03832, section 3.2. Windows of
one clip are each other's positives, windows of other clips negatives.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from trill.training import scale

MARGIN = 0.2  # of squared distances in [0, 4]: Schroff et al. 2015, section 3.1; Shor et al. name none
SMALLEST = 1e-14  # squared length of a row that has a direction: Keras' epsilon, squared


class Triplets(NamedTuple):
    """Rows of a batch, int32 `(num_triplets,)` each, and which of the triplets count, bool `(num_triplets,)`."""

    anchor: Any
    positive: Any
    negative: Any
    valid: Any


def squared_distances(embeddings: Any) -> Any:
    """Squared Euclidean distance of each pair of rows, scaled to length 1.

    A row of zeros has no direction: it is 2 from every row, itself included, and no gradient moves it.

    Args:
        embeddings: `(batch, dim)` of any float type; computed in float32.

    Returns:
        `(batch, batch)` float32 in [0, 4].

    >>> distances = squared_distances(ops.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
    >>> ops.convert_to_numpy(distances).round(6).tolist()
    [[0.0, 2.0, 4.0], [2.0, 0.0, 2.0], [4.0, 2.0, 0.0]]
    """
    embeddings = ops.cast(embeddings, "float32")
    square = ops.sum(ops.square(embeddings), axis=1, keepdims=True)
    # Not ops.normalize: the gradient at a row of zeros, which a network of ReLUs can give, is 1e7 there, on JAX NaN.
    inverse = ops.where(square > SMALLEST, ops.rsqrt(ops.maximum(square, SMALLEST)), 0.0)
    unit = embeddings * inverse
    return ops.clip(2.0 - 2.0 * ops.matmul(unit, ops.transpose(unit)), 0.0, 4.0)


def semi_hard(distances: Any, clips: Any, max_positives: int = 1) -> Triplets:
    """For each anchor and positive, the closest negative that is still farther than the positive.

    Back-off: where no negative is farther, the farthest of them is taken, the least hard there is. The papers do not
    say what to do then; TensorFlow's implementation of FaceNet's loss did this
    (`tf.contrib.losses.metric_learning.triplet_semihard_loss`). Among equals the first row counts.

    Args:
        distances: `(batch, batch)` float32.
        clips: `(batch,)` int32, the clip that each row is cut from.
        max_positives: other rows of its clip that an anchor is paired with, the first of them; at most `batch - 1`.

    Returns:
        `batch * max_positives` triplets, sorted by anchor. Those of an anchor without positive or negative do not
        count.

    >>> line = ops.array([0.0, 1.0, 3.0, 4.0])
    >>> mined = semi_hard(ops.abs(line[:, None] - line), ops.array([7, 7, 8, 9]))
    >>> for part in mined:
    ...     print(ops.convert_to_numpy(part).tolist())
    [0, 1, 2, 3]
    [1, 0, 0, 0]
    [2, 2, 0, 0]
    [True, True, False, False]
    """
    rows = ops.arange(ops.shape(distances)[0])
    same = ops.equal(clips[:, None], clips[None, :])
    partner = ops.logical_and(same, ops.not_equal(rows[:, None], rows[None, :]))
    is_positive, positive = ops.top_k(ops.cast(partner, "int32"), max_positives)  # among equals the first
    to_positive = ops.take_along_axis(distances, positive, axis=1)[:, :, None]  # (batch, max_positives, 1)
    to_negative = ops.where(same, -1.0, distances)[:, None, :]  # nearer than any positive: never semi-hard
    semi = ops.greater(to_negative, to_positive)  # (batch, max_positives, batch)
    closest = ops.argmin(ops.where(semi, to_negative, float("inf")), axis=2)
    negative = ops.where(ops.any(semi, axis=2), closest, ops.argmax(to_negative, axis=2))
    valid = ops.logical_and(is_positive > 0, ops.logical_not(ops.all(same, axis=1, keepdims=True)))
    anchor = ops.broadcast_to(rows[:, None], ops.shape(positive))
    indices = [ops.cast(part, "int32") for part in (anchor, positive, negative)]
    return Triplets(*(ops.reshape(part, (-1,)) for part in (*indices, valid)))


def hinges(distances: Any, triplets: Triplets, margin: float) -> Any:
    """`[d(anchor, positive) - d(anchor, negative) + margin]+`, `(num_triplets,)`, and 0 where a triplet does not count.

    >>> triplets = Triplets(*ops.array([[0, 1], [1, 0], [2, 2]]), ops.array([True, False]))
    >>> distances = ops.array([[0.0, 1.0, 1.25], [1.0, 0.0, 0.5], [1.25, 0.5, 0.0]])
    >>> ops.convert_to_numpy(hinges(distances, triplets, margin=0.5)).tolist()
    [0.25, 0.0]
    """
    from_anchor = ops.take(distances, triplets.anchor, axis=0)  # (num_triplets, batch)
    to_positive, to_negative = (
        ops.take_along_axis(from_anchor, other[:, None], axis=1)[:, 0]
        for other in (triplets.positive, triplets.negative)
    )
    return ops.where(triplets.valid, ops.relu(to_positive - to_negative + margin), 0.0)


class TripletObjective(keras.layers.Layer):
    """Mean hinge over the triplets of the whole batch, that of all devices.

    On several devices each gathers the embeddings of all (`scale.gather`) and mines in them: negatives come from the
    global batch, and the loss is that of one device with that batch. The paper's sum is `batch` times the mean.

    Args:
        margin: of squared distances, positive.
        max_positives: see `semi_hard`.
    """

    figures = ("violating",)

    def __init__(self, margin: float = MARGIN, max_positives: int = 1) -> None:
        super().__init__(dtype="float32", name="triplet")
        if not margin > 0:
            raise ValueError(f"margin must be positive, got {margin}. The default is {MARGIN}.")
        self.margin, self.max_positives = margin, max_positives

    def call(self, outputs: Any, clips: Any) -> dict[str, Any]:
        """The loss, and the share of triplets whose hinge is not 0, from the tap `embedding` `(batch, dim)`."""
        distances = squared_distances(scale.gather(outputs["embedding"]))
        triplets = semi_hard(distances, scale.gather(clips), self.max_positives)
        losses = hinges(distances, triplets, self.margin)
        count = ops.maximum(ops.sum(ops.cast(triplets.valid, "float32")), 1.0)
        return {"loss": ops.sum(losses) / count, "violating": ops.sum(ops.cast(losses > 0, "float32")) / count}
