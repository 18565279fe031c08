"""The learner of `trill.training.loop` whose batches are windows of clips and whose layers have rates of their own."""

from typing import Any

import keras

from trill.training import loop
from trill.training.finetuning.heads import Heads
from trill.training.finetuning.layers import Parts


class ClipLearner(loop.Learner):
    """A network of which the upper part and the heads are trained.

    Args:
        network: of `trill.networks.saving`, divided into `parts`; what the loop saves.
        parts: of the network.
        heads: what is learnt.
        waveforms: whether batches are waveforms, or what `parts.lower` makes of them.
        moving_statistics: whether batch normalisation goes by the batch while training, and its averages move.
        layer_decay: share of the rate of a block in that of the block above it.
        head_rate: the heads' rate as a multiple of the topmost block's.
    """

    def __init__(
        self,
        network: keras.Model,
        parts: Parts,
        heads: Heads,
        *,
        waveforms: bool = False,
        moving_statistics: bool = False,
        layer_decay: float = 1.0,
        head_rate: float = 1.0,
    ) -> None:
        super().__init__(network, heads)
        self.parts = parts
        self.waveforms, self.moving_statistics = waveforms, moving_statistics
        self.layer_decay, self.head_rate = layer_decay, head_rate

    def call(self, inputs: Any, training: bool = False) -> Any:
        features = self.parts.lower(inputs, training=False) if self.waveforms else inputs
        # Nothing but batch normalisation differs in training: without it, its statistics are the pre-trained ones.
        return self.parts.upper(features, training=training and self.moving_statistics)

    def compile(self, optimizer: Any = "rmsprop", **options: Any) -> None:
        """With an optimizer of the same settings that gives each variable its share of the rate."""
        own = {id(variable) for variable in self.objective.trainable_variables}
        shares = [
            self.head_rate if id(variable) in own else self.layer_decay ** self.parts.depth(variable)
            for variable in self.trainable_variables
        ]
        super().compile(optimizer=SharedAdam.of(optimizer, shares), **options)


class SharedAdam(keras.optimizers.Adam):
    """Adam whose rate is another for each variable."""

    @classmethod
    def of(cls, optimizer: keras.optimizers.Adam, shares: list[float]) -> "SharedAdam":
        """The same settings, and a share of the rate for each variable in the order in which it is built."""
        made: SharedAdam = cls.from_config(optimizer.get_config())
        made.shares = tuple(shares)
        return made

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        share = self.shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * share)
