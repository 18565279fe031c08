"""A model's card as Markdown, of the JSON that holds all its numbers: none stands in this text."""

import re
from typing import Any

INTRODUCTION = """# {name}, version {version}

{description}

Made by `scripts/model_card.py` of `{name}-{version}.json`, which holds every number."""
SCORES = """## Dev scores

{metric} by `noss run`, protocol {protocol}; intervals of {percent:g} % by resampling speakers. No task was trained on.
"""
LEAKAGE = """## What else can be read

How well a linear classifier reads who speaks from the clips of a task: recall, and chance beside it. Treat an embedding
as you treat the recording.
"""
ROBUSTNESS = """## Robustness

Scores of altered sound less those of clean sound, for a classifier that learned from clean sound, paired by clip and
speaker (docs/robustness.md).
"""
DATA = """{hours:g} hours of sound, {clips:,} clips, {speakers:,} speakers that have a name. Hours by
language: {languages}. No sound is in the package.
"""


def render(card: dict[str, Any]) -> str:
    """The card as Markdown; the same JSON gives the same bytes."""
    made = [INTRODUCTION.format(**card), _facts(card), f"## Made from\n\n{card['training'].strip()}", _teachers(card)]
    made += [_data(card["data"]), _noise(card["noise"]), _scores(card), _leakage(card), _robustness(card)]
    made += [_siblings(card)] if card["siblings"] else []
    made.append("## Limits\n\n" + "\n".join(f"- {each}" for each in card["limits"]))
    return "\n\n".join(made) + "\n"


def _facts(card: dict[str, Any]) -> str:
    taps = {name: " x ".join(map(str, shape)) for name, shape in card["taps"].items()}
    hop, time = f"{card['hop_seconds']:g} s", card["milliseconds"]
    multiplies = f"{card['multiply_adds_window']:,} a window, {card['multiply_adds_second']:,} a second of sound"
    others = ", ".join(f"`{name}` ({shape})" for name, shape in taps.items() if name != "embedding")
    rows = {
        "embedding": f"{taps['embedding']} values for a window of {card['window_seconds']:g} s, every {hop} by default",
        "other taps": others or "none",
        "takes": f"a waveform at {card['sample_rate']} Hz; {card['front_end']}",
        "file": f"{card['megabytes']:g} MB, weights as {card['quantization']}, SHA-256 `{card['sha256']}`",
        "parameters": f"{card['parameters']:,}, those of batch norm included",
        "multiply-adds": multiplies,
        "time": f"{time['second']:.2f} ms a second of sound, one thread, {time['machine']}",
        "recipe": f"`recipes/{card['recipe']['file']}`, SHA-256 `{card['recipe']['sha256']}`",
        "licence": card["licence"],
    }
    return _table(["", ""], list(map(list, rows.items())))


def _teachers(card: dict[str, Any]) -> str:
    return _table(["teacher", "licence", "source"], [[t["name"], t["licence"], t["source"]] for t in card["teachers"]])


def _data(data: dict[str, Any]) -> str:
    languages = ", ".join(f"{name or 'not given'} {each['hours']:g}" for name, each in data["languages"].items())
    rows = [
        [
            each["title"],
            ", ".join(each["licences"]),
            ", ".join(filter(None, each["languages"])),
            f"{each['minutes']:g}",
            f"{each['clips']:,}",
            f"{each['speakers']:,}" if each["speakers"] else "not given",
        ]
        for each in data["sources"]
    ]
    head = ["corpus", "licence", "languages", "minutes", "clips", "speakers"]
    return f"{DATA.format(**{**data, 'languages': languages})}\n{_table(head, rows)}"


def _noise(noise: dict[str, Any]) -> str:
    sources = "; ".join(
        f"{each['title']}, {each['clips']} ({', '.join(each['licences'])})" for each in noise["sources"]
    )
    return f"Noise that was mixed in, clips: {sources}."


def _scores(card: dict[str, Any]) -> str:
    names, seeds = list(card["mean"]["baselines"]), card["seeds"]
    rows = [
        [task, f"**{short(each['score'])}**", _ends(each), *(short(each["baselines"][name]) for name in names)]
        for task, each in [*card["tasks"].items(), ("mean", card["mean"])]
    ]
    metric = ", ".join(sorted({each["metric"] for each in card["tasks"].values()}))
    said = SCORES.format(metric=metric, protocol=card["protocol"], percent=100 * card["level"])
    by_seed = ", ".join(f"seed {seed} {short(mean)}" for seed, mean in seeds.items())
    spread = f"; from {short(min(seeds.values()))} to {short(max(seeds.values()))}" if len(seeds) > 1 else ""
    return f"{said}\n{_table(['task', 'this model', 'interval', *names], rows)}\n\nThe mean by seed: {by_seed}{spread}."


def _leakage(card: dict[str, Any]) -> str:
    rows = [
        [trait, task, short(each["score"]), _ends(each), short(each["chance"])]
        for trait, tasks in card["leakage"].items()
        for task, each in tasks.items()
    ]
    return f"{LEAKAGE}\n{_table(['trait', 'task', 'recall', 'interval', 'chance'], rows)}"


def _robustness(card: dict[str, Any]) -> str:
    tasks = list(card["tasks"])
    rows = [
        [
            f"{name}: {each['what']}",
            f"**{short(each['score'], '+')}**",
            _ends(each, "+"),
            *(short(each["tasks"][task], "+") for task in tasks),
        ]
        for name, each in card["robustness"].items()
    ]
    return f"{ROBUSTNESS}\n{_table(['sound', 'mean', 'interval', *tasks], rows)}"


def _siblings(card: dict[str, Any]) -> str:
    conditions = list(card["robustness"])
    rows = [
        [
            f"`{each['name']}`",
            each["quantization"],
            f"{each['megabytes']:g}",
            f"{each['milliseconds']:.2f}",
            short(each["mean"]),
            *(short(each["robustness"][name], "+") for name in conditions),
            f"`{each['sha256']}`",
        ]
        for each in card["siblings"]
    ]
    head = ["model", "weights as", "MB", "ms a second", "mean", *conditions, "SHA-256"]
    return f"## The same network, another file\n\n{_table(head, rows)}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [re.sub(r"\|  (?=\|)", "| ", f"| {' | '.join(row)} |") for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def short(value: float, plus: str = "") -> str:
    """Three decimals, no zero before the point; a true minus sign."""
    return re.sub(r"^([+-]?)0\.", r"\1.", f"{value:{plus}.3f}").replace("-", "−")


def _ends(each: dict[str, float], plus: str = "") -> str:
    return f"{short(each['low'], plus)} to {short(each['high'], plus)}"
