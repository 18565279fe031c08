"""What a training run is: a frozen dataclass, and the same as TOML. `recipes/*.toml` hold the ones that were run."""

import dataclasses
import importlib.resources
import tomllib
import typing
from pathlib import Path
from typing import Any

import tomli_w

from trill.networks.frontend import FRONTENDS, FrontendConfig
from trill.networks.saving import NetworkConfig

OPTIMIZERS = ("adam", "muon")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Adam (Kingma & Ba 2015) or Muon (`trill.training.muon`), and its schedule.

    Args:
        learning_rate: the highest; Shor et al. 2020, section 3.1 train with 1e-5.
        schedule: after the warm-up, "constant" or "cosine" (to zero at the last step).
        warmup_steps: over which the rate rises from zero.
        weight_decay: decoupled (AdamW); 0 for none.
        clip_norm: greatest norm of all gradients together; 0 for no limit.
        average: momentum of a moving average of the weights, in [0, 1), that is saved and validated in their place; 0
            for the weights themselves.
        kind: "adam" or "muon".
    """

    learning_rate: float = 1e-5
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    average: float = 0.0
    kind: str = "adam"

    def __post_init__(self) -> None:
        check_types(self)
        check_choice("kind", self.kind, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check("learning_rate", self.learning_rate, self.learning_rate > 0, "positive")
        for name in ("warmup_steps", "weight_decay", "clip_norm"):
            check(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        check("average", self.average, 0 <= self.average < 1, "in [0, 1)")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """All that a run's weights depend on, besides its sound.

    Args:
        network: what is trained; its `frontend` may be the name of a row of `FRONTENDS` in TOML.
        objective: `kind`, a row of the objectives that the caller knows, and its arguments.
        augment: rows of `trill.training.augment.AUGMENTATIONS` and their arguments, applied in order; none by default.
        optimizer: and its schedule.
        max_separation_seconds: between anchor and positive; None (left out in TOML) for the whole clip.
        steps: of training.
        batch_size: windows in a batch, over all devices.
        seed: of weights and batches.
        precision: of the network's arithmetic; weights, front end and loss stay float32.
        checkpoint_every: steps; a killed run loses at most these. Validation happens as often.
        shards: equal parts of a device's batch that go through the network side by side. On a CPU four of them, a
            thread each, take half the time of one that four threads share. Batch normalisation looks at each alone.

    Raises:
        ValueError: if a number is out of range or a choice unknown.

    >>> config = TrainConfig(steps=10)
    >>> TrainConfig.from_toml(config.to_toml()) == config
    True
    """

    network: NetworkConfig = dataclasses.field(default_factory=lambda: NetworkConfig("resnetish", name="resnetish"))
    objective: dict[str, Any] = dataclasses.field(default_factory=lambda: {"kind": "triplet"})
    augment: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    max_separation_seconds: float | None = None
    steps: int = 10_000
    batch_size: int = 64
    seed: int = 0
    precision: str = "float32"
    checkpoint_every: int = 500
    shards: int = 1

    def __post_init__(self) -> None:
        check_types(self)
        check_choice("precision", self.precision, PRECISIONS)
        for name in ("steps", "batch_size", "shards", "checkpoint_every"):
            check(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        check("batch_size", self.batch_size, self.batch_size % self.shards == 0, f"a multiple of shards, {self.shards}")
        check("seed", self.seed, 0 <= self.seed < 2**32, "in [0, 2**32)")
        separation = self.max_separation_seconds
        check("max_separation_seconds", separation, separation is None or separation >= 0, "0 or more")

    def to_toml(self) -> str:
        """What `from_toml` takes. TOML has no None: what is None is left out."""
        return tomli_w.dumps(_without_none(dataclasses.asdict(self)))

    @classmethod
    def from_toml(cls, text: str, where: str = "the recipe") -> "TrainConfig":
        """The inverse of `to_toml`; what is left out has its default.

        Raises:
            ValueError: if the text is no TOML, or has a key or a value that a recipe cannot have.
        """
        try:
            fields = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{where} must be TOML: {error}.") from error
        config: TrainConfig = made(cls, fields, where)
        return config


def load_recipe(name: str) -> TrainConfig:
    """Read a recipe by name, or the TOML file at a path.

    Raises:
        ValueError: if there is none of that name, or it is not sound.
    """
    packaged = importlib.resources.files("trill.recipes")
    path = Path(name) if name.endswith(".toml") else packaged / f"{name}.toml"
    if not path.is_file():
        known = sorted(file.name.removesuffix(".toml") for file in packaged.iterdir() if file.name.endswith(".toml"))
        raise ValueError(f"a recipe is one of {', '.join(known)}, or the path of a .toml file, got {name!r}.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be TOML, a text in UTF-8: {error}.") from error
    return TrainConfig.from_toml(text, where=name)


def made(kind: Any, fields: dict[str, Any], where: str) -> Any:
    """A dataclass of a TOML table; tables in it become dataclasses where it has them.

    Raises:
        ValueError: if a key is missing or unknown, or a value cannot be.
    """
    known = {field.name: field for field in dataclasses.fields(kind)}
    values = dict(fields)
    for name, field in known.items():
        if field.default is field.default_factory is dataclasses.MISSING and name not in fields:
            raise ValueError(f"{where} needs the key {name}.")
    for name, value in fields.items():
        if name not in known:
            raise ValueError(f"{where} knows the keys {', '.join(known)}, got {name!r}.")
        inner = known[name].type
        if inner is FrontendConfig and isinstance(value, str):
            check_choice(f"frontend of {where}", value, tuple(FRONTENDS))
            values[name] = FRONTENDS[value]
        elif dataclasses.is_dataclass(inner) and isinstance(value, dict):
            values[name] = made(inner, value, f"[{name}] of {where}")
        else:
            _check_type(f"{name} of {where}", value, inner)
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where} cannot be: {error}") from error


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(inner) for name, inner in value.items() if inner is not None}
    return value


def check_types(config: Any) -> None:
    for field in dataclasses.fields(config):
        _check_type(field.name, getattr(config, field.name), field.type)


def _check_type(name: str, value: Any, kind: Any) -> None:
    """A whole number is a number; True and infinity are none."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308
    if kind == float | None:
        fits = number or value is None
    elif kind in (int, float):
        fits = number and isinstance(value, int | kind)
    else:
        fits = isinstance(value, typing.get_origin(kind) or kind)  # dict of dict[str, ...]
    if not fits:
        words = {int: "a whole number", float: "a number", float | None: "a number", str: "a text"}
        raise ValueError(f"{name} must be {words.get(kind, 'a table')}, got {value!r}.")


def check(name: str, value: float | None, holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {rule}, got {value}.")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
