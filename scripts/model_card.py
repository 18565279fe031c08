"""The card of a packaged model, made of what was measured: trill/weights/NAME-VERSION.json and .md beside it.

    python scripts/model_card.py mobilenet --results results/ --benchmark cost.json \\
        --manifest speech/train/manifest.csv --manifest speech/more/manifest.csv --noise speech/noise/manifest.csv
    python scripts/model_card.py --render trill/weights/mobilenet-3.json

The facts are what nobody can measure: teachers, titles of corpora, limits (docs/models.md lists them). All else is
read: scores, leakage and losses from results of `noss run`, data from the manifests' columns, size from the files, time
from benchmarks/quality_cost.py. What is missing is said, with the command that makes it, and no card is written.
"""

import argparse
import csv
import json
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from card_text import render

from noss import paired, results, robustness
from noss.conditions import ALTERATIONS
from noss.leakage import TRAITS
from trill import files, modelfile, presets

ROOT = Path(__file__).parents[1]
COLUMNS = ("path", "source", "licence", "duration")
NEEDED = ("description", "front_end", "teachers", "baselines", "corpora", "conditions", "training", "limits")


def need(missing: list[str], found: Any, what: str) -> Any:
    """Note what is not there, with the way out."""
    if not found:
        missing.append(what)
    return found


# What was measured -> JSON.


def collect(
    model: str,
    facts: dict[str, Any],
    found: list,
    benchmark: dict,
    manifests: list[Path],
    noise: list[Path],
    seeds: dict[str, str],
    weights: Path,
    recipe: Path,
) -> dict:
    """All numbers of a card."""
    missing: list[str] = []
    for name in NEEDED:
        need(missing, name in facts, f"the facts lack `{name}` (docs/models.md)")
    if missing:
        raise SystemExit("\n".join(missing))
    path = presets.locate(model)
    card = modelfile.read(path)[1]
    scores = _Scores(found, f"{card.identity}:embedding", facts, seeds, missing)
    siblings = [name for name, row in presets.presets().items() if row["card"] == f"{path.stem}.md" and name != model]
    content = {
        "name": card.name,
        "version": card.version,
        "licence": card.licence,
        "quantization": card.quantization,
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "sample_rate": card.sample_rate,
        "window_seconds": card.window_samples / card.sample_rate,
        "hop_seconds": card.hop_samples / card.sample_rate,
        "taps": {name: list(shape) for name, shape in sorted(card.taps.items())},
        "sha256": files.sha256(path),
        **network(weights, card, missing),
        "milliseconds": milliseconds(benchmark, card.identity, missing),
        "data": data(manifests, facts["corpora"], missing, "--manifest FILE, of what was trained on"),
        "noise": data(noise, facts["corpora"], missing, "--noise FILE, of what was mixed in"),
        "recipe": {"file": recipe.name, "sha256": files.sha256(recipe)},
        **{name: facts[name] for name in ("description", "front_end", "teachers", "training", "limits")},
        **scores.all(),
        "siblings": [sibling(name, facts, found, benchmark, missing) for name in siblings],
    }
    if missing:
        raise SystemExit("The card lacks:\n" + "\n".join(f"- {what}" for what in missing))
    return json.loads(json.dumps(content, allow_nan=False))


def sibling(name: str, facts: dict[str, Any], found: list, benchmark: dict, missing: list[str]) -> dict[str, Any]:
    """The same network as another file."""
    path = presets.locate(name)
    card = modelfile.read(path)[1]
    scores = _Scores(found, f"{card.identity}:embedding", facts, {}, missing)
    altered = scores.robustness()
    time = milliseconds(benchmark, card.identity, missing)
    if missing:
        return {}
    return {
        "name": name,
        "quantization": card.quantization,
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "sha256": files.sha256(path),
        "milliseconds": time["second"],
        "mean": scores.mean_of(scores.name),
        "robustness": {condition: each["score"] for condition, each in altered.items()},
    }


def network(weights: Path, card: modelfile.ModelCard, missing: list[str]) -> dict[str, Any]:
    """Parameters and multiply-adds of the weights that the packaged file was made from."""
    if not need(missing, weights.is_file(), f"Keras weights {weights}: --weights"):
        return {}
    from export.tflite import weights_sha256
    from trill.networks import saving
    from trill.networks.counting import multiply_adds

    made, config = saving.load(weights)
    same = weights_sha256(made, config) == card.source_sha256
    need(missing, same, f"the weights that {card.name} was exported from; {weights} are others: --weights")
    window = multiply_adds(made)
    return {
        "parameters": made.count_params(),
        "multiply_adds_window": window,
        "multiply_adds_second": round(window * card.sample_rate / card.hop_samples),
    }


def milliseconds(benchmark: dict, identity: str, missing: list[str]) -> dict[str, Any]:
    row = next((each for each in benchmark.get("rows", []) if each["representation"].startswith(identity)), None)
    need(missing, row, f"a time of {identity}: python benchmarks/quality_cost.py measure, --benchmark")
    return {"second": row["milliseconds"], "machine": benchmark["machine"]} if row else {}


def data(manifests: list[Path], corpora: dict[str, str], missing: list[str], option: str) -> dict[str, Any]:
    """What is in manifests, by their columns."""
    rows = []
    for manifest in manifests:
        if need(missing, manifest.is_file(), f"the manifest {manifest}"):
            with manifest.open(newline="", encoding="utf-8-sig") as file:
                found = list(csv.DictReader(file))
            lacks = [column for column in COLUMNS if column not in found[0]]
            need(missing, not lacks, f"columns {', '.join(lacks)} in {manifest}")
            rows += [] if lacks else found
    need(missing, rows, f"a manifest: {option}")
    by_source = defaultdict(list)
    for row in rows:
        by_source[row["source"]].append(row)
    for source in by_source:
        need(missing, source in corpora, f"a title of {source} under [corpora] in the facts")
    return {
        **_amount(rows),
        "languages": {name: _amount(some) for name, some in sorted(_by(rows, "language").items())},
        "sources": [
            {"title": corpora.get(source, ""), "licences": sorted({row["licence"] for row in some}), **_amount(some),
             "languages": sorted(_by(some, "language"))}
            for source, some in sorted(by_source.items())
        ],
    }  # fmt: skip


def _by(rows: list[dict], column: str) -> dict[str, list[dict]]:
    found = defaultdict(list)
    for row in rows:
        found[row.get(column, "")].append(row)
    return found


def _amount(rows: list[dict]) -> dict[str, Any]:
    seconds = sum(float(row["duration"]) for row in rows)
    named = {(row["source"], row["speaker"]) for row in rows if row.get("speaker")}
    amounts = {"hours": round(seconds / 3600, 2), "minutes": round(seconds / 60, 1)}
    return {"clips": len(rows), **amounts, "speakers": len(named)}


class _Scores:
    """What results say of one representation, beside others."""

    def __init__(
        self, found: list, name: str, facts: dict[str, Any], seeds: dict[str, str], missing: list[str]
    ) -> None:
        self.facts, self.seeds, self.missing, self.name = facts, seeds, missing, name
        # The newest of several.
        self.found = {(each.key.representation, each.key.setting, each.key.task): each
                      for each in sorted(found, key=lambda each: each.created)}  # fmt: skip
        self.names = sorted({name for name, *_ in self.found})
        self.tasks = sorted(task for who, setting, task in self.found if (who, setting) == (name, ""))
        self.samples = {task: paired.samples([self.plain(name, task)])[0] for task in self.tasks}
        need(missing, self.tasks, f"scores of {name}: noss run --suite FOLDER --protocol referee -r ... -o RESULTS")

    def plain(self, name: str, task: str) -> Any:
        return self.found[name, "", task].evaluation

    def of(self, part: str, command: str) -> str | None:
        """The one representation that is meant, with a score at every task."""
        meant = [name for name in self.names if part in name]
        whole = [name for name in meant if all((name, "", task) in self.found for task in self.tasks)]
        what = f"scores of {part} at all {len(self.tasks)} tasks, {len(whole)} representations have them: {command}"
        return need(self.missing, len(whole) == 1, what) and whole[0]

    def mean_of(self, name: str) -> float:
        return float(np.mean([self.plain(name, task).score for task in self.tasks]))

    def all(self) -> dict[str, Any]:
        if not self.tasks:
            return {}
        mean = paired.mean(list(self.samples.values()))
        baselines = {title: self.of(part, f"noss run -r {part}") for title, part in self.facts["baselines"].items()}
        seeds = {seed: self.of(name, f"noss run -r the model of seed {seed}") for seed, name in self.seeds.items()}
        need(self.missing, self.name in seeds.values(), "the packaged model among the seeds: --seed N=FILE.tflite")
        protocols = {each.key.protocol for (who, *_), each in self.found.items() if who == self.name}
        need(self.missing, len(protocols) == 1, f"results of one protocol, got {', '.join(sorted(protocols))}")
        leakage, altered = self.leakage(), self.robustness()
        if self.missing:
            return {}
        return {
            "protocol": self.found[self.name, "", self.tasks[0]].key.protocol,
            "tasks": {task: {**_ends(self.samples[task].interval()), "metric": self.plain(self.name, task).metric,
                             "baselines": {title: self.plain(who, task).score for title, who in baselines.items()}}
                      for task in self.tasks},
            "mean": {**_ends(mean), "baselines": {title: self.mean_of(who) for title, who in baselines.items()}},
            "level": mean.level,
            "seeds": {seed: self.mean_of(who) for seed, who in seeds.items()},
            "leakage": leakage,
            "robustness": altered,
        }  # fmt: skip

    def leakage(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for trait in (each.name for each in TRAITS):
            there = {task: self.found[self.name, f"leakage {trait}", task].evaluation for task in self.tasks
                     if (self.name, f"leakage {trait}", task) in self.found}  # fmt: skip
            need(self.missing, there, f"how well {trait} can be read: noss run --leakage")
            told[trait] = {task: {**_ends(paired.samples([each])[0].interval()), "chance": 1 / len(each.classes)}
                           for task, each in there.items()}  # fmt: skip
        return told

    def robustness(self) -> dict[str, Any]:
        wanted, mine = self.facts["conditions"], [each for (who, *_), each in self.found.items() if who == self.name]
        there = {each.condition: each for each in robustness.losses(mine)} if any(
            each.key.setting in ALTERATIONS for each in mine) else {}  # fmt: skip
        for name in wanted:
            whole = name in there and sorted(there[name].differences) == self.tasks
            need(self.missing, whole, f"scores under {name}: noss run --condition {name}")
        return {
            name: {"what": ALTERATIONS[name].what, **_ends(there[name].mean),
                   "tasks": {task: each.value for task, each in there[name].differences.items()}}
            for name in wanted if name in there
        }  # fmt: skip


def _ends(found: Any) -> dict[str, float]:
    return {"score": round(found.value, 6), "low": round(found.low, 6), "high": round(found.high, 6)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="name of a packaged model")
    parser.add_argument("--render", type=Path, metavar="FILE.json", help="write its .md again, measure nothing")
    parser.add_argument("--facts", type=Path, help="[scripts/cards/NAME-VERSION.toml]")
    parser.add_argument("--results", type=Path, action="append", default=[], help="of noss run; several folders may be")
    parser.add_argument("--benchmark", type=Path, help="of benchmarks/quality_cost.py measure")
    parser.add_argument("--manifest", type=Path, action="append", default=[], help="of what was trained on")
    parser.add_argument("--noise", type=Path, action="append", default=[], help="manifest of what was mixed in")
    parser.add_argument(
        "--seed", action="append", default=[], metavar="N=FILE.tflite", help="each run's; the model's, too"
    )
    parser.add_argument("--weights", type=Path, help="Keras weights [recipes/weights/NAME-VERSION.safetensors]")
    parser.add_argument("--recipe", type=Path, help="[recipes/NAME.toml]")
    parser.add_argument("-o", "--output", type=Path, help="[trill/weights/NAME-VERSION.md]")
    args = parser.parse_args()
    if args.render:
        write(json.loads(args.render.read_text(encoding="utf-8")), args.render.with_suffix(".md"))
        return
    if not (args.model and args.results and args.benchmark):
        parser.error("a card needs MODEL, --results and --benchmark, or --render FILE.json")
    stem = presets.locate(args.model).stem
    facts = args.facts or ROOT / f"scripts/cards/{stem}.toml"
    content = collect(
        args.model,
        {"corpora": table(facts.with_name("corpora.toml"))} | table(facts),
        [each for folder in args.results for each in results.load_all(folder)],
        json.loads(args.benchmark.read_text(encoding="utf-8")),
        args.manifest,
        args.noise,
        {
            seed: f"{modelfile.read(file)[1].identity}:embedding"
            for seed, _, file in (each.partition("=") for each in args.seed)
        },
        args.weights or ROOT / f"recipes/weights/{stem}.safetensors",
        args.recipe or ROOT / f"recipes/{args.model}.toml",
    )
    output = args.output or presets.WEIGHTS / f"{stem}.md"
    with files.write_atomically(output.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write(content, output)
    print(output)


def table(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(content: dict[str, Any], path: Path) -> None:
    with files.write_atomically(path) as temporary:
        temporary.write_text(render(content), encoding="utf-8")


if __name__ == "__main__":
    main()
