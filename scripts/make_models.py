"""Make the packaged models again: targets, training, export, scores, package, card. `make models` calls this.

    python scripts/make_models.py mobilenet tiny --speech ../shared/speech --teachers ../shared/teachers
    python scripts/make_models.py mobilenet --steps 1000 ...   # a check: trains so far, shows the loss

Every step is a command that goes on where it was stopped; so does this. What is missing is said before anything starts.
With --show the commands are printed, for shells and other machines.
"""

import argparse
import csv
import hashlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
Command = list[str]
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": str(os.cpu_count())}  # docs/training.md


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", help="names in recipes/, or .toml files")
    parser.add_argument("--speech", type=Path, required=True, help="folder of train/, more/, noise/, dev/")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of teachers' weights")
    parser.add_argument("--work", type=Path, default=ROOT / "runs/models", help="targets, runs, results [runs/models]")
    parser.add_argument("--seeds", default="0", help="e.g. 0,1,2; the first is packaged [0]")
    parser.add_argument("--steps", type=int, help="train so far and stop: a check of the first losses")
    parser.add_argument("--show", action="store_true", help="print the commands, run none")
    args = parser.parse_args()
    made_of = tomllib.loads((ROOT / "scripts/models.toml").read_text(encoding="utf-8"))
    plans = [Plan(name, made_of, args.speech, args.teachers, args.work) for name in args.recipes]
    lacking = {line for plan in plans for line in [*plan.missing(), *([] if args.steps else plan.unsaid())]}
    smile = any(each.startswith("opensmile:") for each in made_of["score"]["baselines"])
    if smile and not (args.steps or args.show or importlib.util.find_spec("opensmile")):
        lacking.add("- opensmile, a baseline: pip install opensmile (for research only, mind its licence)")
    if missing := sorted(lacking):
        raise SystemExit("`make models` lacks:\n" + "\n".join(missing))
    seeds = [int(seed) for seed in args.seeds.split(",")]
    commands = [each for plan in plans for each in plan.commands(seeds, args.steps)]
    for command in dict.fromkeys(map(tuple, commands)):  # models share targets and baselines
        print(shlex.join(command), flush=True)
        if not args.show:
            subprocess.run(
                command, cwd=ROOT, check=True, env={**THREADS, **os.environ, "TEACHERS": str(args.teachers.absolute())}
            )
    for run in [plan.run(seed, args.steps) for plan in plans for seed in seeds] if args.steps and not args.show else []:
        print(run, *last_line(run / "log.csv"))


class Plan:
    """How one recipe becomes a packaged model."""

    def __init__(self, recipe: str, made_of: dict[str, Any], speech: Path, teachers: Path, work: Path) -> None:
        path = Path(recipe) if recipe.endswith(".toml") else ROOT / f"recipes/{recipe}.toml"
        if not path.is_file():
            raise SystemExit(f"a recipe must be a name in recipes/ or a .toml file, got {recipe!r}.")
        self.recipe, self.made_of, self.work = str(path.absolute()), made_of, work.absolute()
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        self.name, self.stem = (
            content["network"]["name"],
            f"{content['network']['name']}-{content['network']['version']}",
        )
        self.keep: int | None = made_of["keep"].get(self.name)
        self.quantizations: list[str] = made_of["quantizations"].get(self.name, ["float16"])
        self.variants = content["objective"].get("variants", {})
        taught = content["objective"]["teacher"]
        self.kept = sorted({row["targets"] for row in taught if "targets" in row})
        self.live = sorted({row["live"] for row in taught if "live" in row})
        self.speech, self.teachers = speech.absolute(), teachers.absolute()

    @property
    def manifests(self) -> list[str]:
        return [str(self.speech / each) for each in self.made_of["speech"]["train"]]

    def missing(self) -> list[str]:
        """Paths that are not there, and where what belongs there is to be had."""
        speech, teachers = self.made_of["speech"], self.made_of["teachers"]
        wanted = {self.speech / each: speech["source"] for each in [*speech["train"], speech["noise"], speech["dev"]]}
        for name in dict.fromkeys([*self.kept, *self.live]):
            if name not in teachers:
                raise SystemExit(f"{self.recipe} learns from {name}: scripts/models.toml needs [teachers.{name}].")
            wanted[self.teachers / teachers[name]["folder"]] = teachers[name]["source"]
        return [f"- {path}: {source}" for path, source in wanted.items() if not path.exists()]

    def unsaid(self) -> list[str]:
        """What the card needs beside numbers."""
        facts = ROOT / f"scripts/cards/{self.stem}.toml"
        return [] if facts.is_file() else [f"- {facts}: to be written, docs/models.md says what"]

    def weights(self, name: str) -> str:
        return str(self.teachers / self.made_of["teachers"][name]["folder"])

    def targets(self, name: str) -> Path:
        """Shared by recipes that alter clips alike and keep the same of the teacher."""
        corpora = self.made_of["speech"]["train"]  # wherever they are; the folder itself knows their sound
        asked = json.dumps([self.made_of["teachers"][name], corpora, self.variants], sort_keys=True)
        return self.work / f"targets-{name}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"

    def run(self, seed: int, steps: int | None = None) -> Path:
        """A check has a folder of its own: with other steps the schedule is another."""
        return self.work / f"{self.stem}-seed{seed}{f'-{steps}-steps' if steps else ''}"

    def file(self, seed: int) -> str:
        return f"{self.run(seed)}.tflite"

    def commands(self, seeds: list[int], steps: int | None) -> list[Command]:
        """All, in order."""
        made = [self.listen(name) for name in self.kept]
        for seed in seeds:
            made.append(self.train(seed, steps))
            if not steps:
                made += [*([self.prune(seed)] if self.keep else []), self.export(seed)]
        return made if steps else [*made, *self.score(seeds), *self.package(seeds)]

    def listen(self, name: str) -> Command:
        row = self.made_of["teachers"][name]
        altered = ["--recipe", self.recipe] if self.variants else []
        kept = ["--teacher", self.weights(name), "--layers", row["layers"], "--components", str(row["components"])]
        return [tool("trill-distill"), "targets", *self.manifests, "-o", str(self.targets(name)), *kept, *altered]

    def train(self, seed: int, steps: int | None) -> Command:
        learnt = [part for name in self.kept for part in ("--targets", str(self.targets(name)))]
        learnt += [part for name in self.live for part in ("--live", f"{name}={self.weights(name)}")]
        return [
            tool("trill-distill"), "train", *self.manifests, "-o", str(self.run(seed, steps)),
            "--recipe", self.recipe, *learnt,
            "--noise", str(self.speech / self.made_of["speech"]["noise"]), "--seed", str(seed),
            *(["--steps", str(steps)] if steps else []),
        ]  # fmt: skip

    def network(self, seed: int) -> str:
        return f"{self.run(seed)}.safetensors" if self.keep else str(self.run(seed) / "last.safetensors")

    def prune(self, seed: int) -> Command:
        trained = str(self.run(seed) / "last.safetensors")
        kept = ["--keep", str(self.keep)]
        return [tool("trill-distill"), "prune", trained, *self.manifests, "-o", self.network(seed), *kept]

    def export(self, seed: int) -> Command:
        stored = ["--quantization", self.quantizations[0], "--overwrite"]
        return [tool("trill-export"), "convert", self.network(seed), "-o", self.file(seed), *stored]

    def score(self, seeds: list[int]) -> list[Command]:
        first, *others = map(self.file, seeds)
        made = [[*self.judge(), "-r", first, "--leakage", *self.altered()]]
        made += [[*self.judge(), "-r", other] for other in others]
        return [*made, [*self.judge(), *(part for spec in self.made_of["score"]["baselines"] for part in ("-r", spec))]]

    def judge(self) -> Command:
        dev, protocol = str(self.speech / self.made_of["speech"]["dev"]), self.made_of["score"]["protocol"]
        return [tool("noss"), "run", "--suite", dev, "--protocol", protocol, "-o", str(self.work / "results")]

    def altered(self) -> Command:
        conditions = [part for name in self.made_of["score"]["conditions"] for part in ("--condition", name)]
        return [*conditions, "--noise", str(self.speech / self.made_of["speech"]["noise"])]

    def package(self, seeds: list[int]) -> list[Command]:
        python, results, cost = sys.executable, str(self.work / "results"), str(self.work / "cost.json")
        corpora = [part for manifest in self.manifests for part in ("--manifest", manifest)]
        by_seed = [part for seed in seeds for part in ("--seed", f"{seed}={self.file(seed)}")]
        noise = str(self.speech / self.made_of["speech"]["noise"])
        others = [f"{self.name}-{other}" for other in self.quantizations[1:]]  # which are there once packaged
        timed = [part for name in (self.name, *others) for part in ("-r", name)]
        return [
            [python, "scripts/package_model.py", self.network(seeds[0])],
            *([*self.judge(), "-r", other, *self.altered()] for other in others),
            [python, "scripts/fit_calibration.py", self.name, *(str(Path(each).parent) for each in self.manifests)],
            [python, "benchmarks/quality_cost.py", "measure", *timed, "-o", cost],
            [python, "scripts/model_card.py", self.name, "--results", results, "--benchmark", cost, *corpora,
             "--noise", noise, "--recipe", self.recipe, *by_seed],
        ]  # fmt: skip


def tool(name: str) -> str:
    return str(BIN / name)


def last_line(log: Path) -> list[str]:
    """Of a run's log: the step and every loss."""
    with log.open(newline="", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[-1]
    return [f"{name} {value}" for name, value in row.items() if value]


if __name__ == "__main__":
    main()
