"""How a fine-tuning goes, and what of it follows from how many clips there are."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from trill.networks.saving import NetworkConfig
from trill.training.finetuning.heads import POOLINGS
from trill.training.finetuning.material import Material
from trill.training.recipes import Optimizer, TrainConfig

# Clips from which on -> Adam's rate: Shor et al. 2020 (Speech Commands and larger; CREMA-D; SAVEE).
RATES = ((50_000, 1e-4), (2_000, 1e-5), (0, 1e-6))
BATCH = 256  # likewise, where the corpus has eight of them
ROUNDS = 40


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a fine-tuning goes, besides its optimizer.

    Args:
        pooling: of a clip's windows: "mean", "attention" or "autopool", see `trill.training.finetuning.heads`.
        unfreeze: blocks that are trained, see `trill.training.finetuning.layers.divide`; "" for all from 2,000 clips
            on, else three.
        max_windows: neighbouring windows of a clip that a step hears at most.
        balanced: whether each label weighs the same, in the probe and in fine-tuning.
        layer_decay: share of the rate of a block in that of the block above it.
        head_rate: the heads' rate as a multiple of the topmost block's.
        moving_statistics: whether batch normalisation goes by the batch while training.
        patience: checkpoints without a better dev score after which it stops.
        by_clip: speakers are unknown, each clip is its own.
    """

    pooling: str = "mean"
    unfreeze: str = ""
    max_windows: int = 8
    balanced: bool = True
    layer_decay: float = 1.0
    head_rate: float = 1.0
    moving_statistics: bool = False
    patience: int = 8
    by_clip: bool = False

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {self.pooling!r}.")
        for name in ("max_windows", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}.")
        for name in ("layer_decay", "head_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}. 1 gives all the same rate.")


def recipe(
    material: Material, network: NetworkConfig, settings: Settings, seed: int, changes: Mapping[str, Any]
) -> TrainConfig:
    """All that the weights depend on; by default the rate, the blocks and the batch go by the number of clips."""
    total, num_train = len(material.labelled.names), len(material.split.train)
    objective = {"kind": "finetune", **dataclasses.asdict(settings)}
    objective["unfreeze"] = settings.unfreeze or ("all" if total >= RATES[1][0] else "3")
    objective["heads"] = [f"{head.column}:{head.kind}" for head in material.labelled.heads]
    batch = changes.get("batch_size") or max(1, min(BATCH, num_train // 8))
    if batch > num_train:
        raise ValueError(f"batch_size must be at most the {num_train} clips learnt from, got {batch}.")
    every = max(1, num_train // batch)
    rate = next(rate for least, rate in RATES if total >= least)
    fields = {"steps": ROUNDS * every, "checkpoint_every": every, "batch_size": batch, **changes}
    own = {field.name for field in dataclasses.fields(Optimizer)} & fields.keys()
    optimizer = Optimizer(**{"learning_rate": rate, **{name: fields.pop(name) for name in own}})
    return TrainConfig(network=network, objective=objective, optimizer=optimizer, seed=seed, **fields)
