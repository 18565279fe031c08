"""Who speaks and what is said how often: what a list of clips tells before any of them is heard."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from noss.audit.findings import Finding, between, counted, some
from noss.splits import SplitRule, make_splits
from noss.statistics import FEW_SPEAKERS
from noss.tasks.task import SPLIT_NAMES, UNKNOWN_SPEAKER, CorpusError, Task, Utterance

FEW_OF_CLASS = 10  # clips: a recall of fewer moves by a tenth with one of them
MAJORITY = 0.5  # share of a class from which on accuracy flatters
FEW_SPEAKERS_OF_CLASS = 3  # one to train on, one to choose by, one to test


def is_known(utterance: Utterance) -> bool:
    """Whether the corpus says who speaks."""
    return not utterance.speaker.startswith(UNKNOWN_SPEAKER)


def is_identified(task: Task, utterances: Sequence[Utterance]) -> bool:
    """Whether the speaker is what is asked for."""
    return task.kind == "verification" or all(each.label == each.speaker for each in utterances)


def check_speakers(task: Task, utterances: Sequence[Utterance]) -> list[Finding]:
    """Are there enough speakers, known ones, kept apart, and are labels more than a trait of theirs?"""
    known = [each for each in utterances if is_known(each)]
    clips_of = Counter(each.speaker for each in known)
    findings = [_number(utterances, clips_of)]
    if not known:
        return findings
    findings += [_both_sides(task, utterances), _names_alike(list(clips_of))]
    if is_identified(task, utterances):
        return findings
    findings.append(_single_label(known, clips_of))
    if task.kind == "classification":
        findings.append(_of_class(task, known))
    return findings


def _number(utterances: Sequence[Utterance], clips_of: Counter[str]) -> Finding:
    unknown = sum(not is_known(each) for each in utterances)
    values = {"speakers": len(clips_of), "unknown_clips": unknown}
    if not clips_of:
        return Finding(
            "Speakers",
            "number",
            "look",
            f"nobody knows who speaks in any of the {counted(unknown, 'clip')}.",
            "One voice may stand on both sides of any split, and intervals take clips for independent: both flatter. "
            "Name a column with --group if there is one.",
            values,
        )
    counts = sorted(clips_of.values())
    said = f"{len(clips_of)}, with {between(counts[0], counts[-1])} clips each (median {np.median(counts):g})"
    if unknown:
        return Finding(
            "Speakers",
            "number",
            "look",
            f"{said}; of {unknown} clips nobody knows the speaker.",
            "Each of these counts as a person of its own and may be heard on both sides: find out, or leave them out.",
            values,
        )
    if len(clips_of) < FEW_SPEAKERS:
        return Finding(
            "Speakers",
            "number",
            "look",
            f"{said}.",
            f"Fewer than {FEW_SPEAKERS}: an interval is nearly vacuous, whatever the number of clips. Differences "
            "between representations here say little about other people.",
            values,
        )
    return Finding("Speakers", "number", "ok", f"{said}.", "", values)


def _both_sides(task: Task, utterances: Sequence[Utterance]) -> Finding:
    check = "on both sides"
    if is_identified(task, utterances):
        return Finding("Speakers", check, "ok", "the speaker is what is asked for: nobody is to be kept apart.")
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for each in utterances:
        if each.split:
            parts[each.speaker].add(each.split)
    several = sorted(who for who, where in parts.items() if len(where) > 1)
    values = {"speakers": several}
    if several:
        broken = task.split == "canonical" and not task.overlap
        return Finding(
            "Speakers",
            check,
            "broken" if broken else "look",
            f"{len(several)} of {len(parts)} speakers stand in more than one part: {some(several)}.",
            task.overlap
            or "A score measures who speaks as well: move each to one part"
            + ("." if broken else ", if the column split is ever used; the task splits anew."),
            values,
        )
    if task.split == "clips":
        return Finding(
            "Speakers",
            check,
            "look",
            "the task splits by clip though speakers are known: most stand on both sides.",
            "Split by speaker; what that changes is measured below, under Inflation.",
            values,
        )
    kept = {"speakers": "the task keeps them whole.", "within speaker": "the task asks about one speaker at a time."}
    return Finding("Speakers", check, "ok", kept.get(task.split, "none."), "", values)


def _names_alike(speakers: list[str]) -> Finding:
    """Two spellings of one name put a person on both sides, whatever the split."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for speaker in sorted(speakers):
        folded = re.sub(r"[^0-9a-z]+", "_", speaker.casefold()).strip("_") if speaker.isascii() else speaker.casefold()
        spellings[re.sub(r"(?<!\d)0+(?=\d)", "", folded)].append(speaker)
    alike = [" = ".join(names) for names in spellings.values() if len(names) > 1]
    if not alike:
        return Finding("Speakers", "spelling", "ok", "no two names differ in case, zeros or punctuation alone.")
    return Finding(
        "Speakers",
        "spelling",
        "look",
        f"{len(alike)} names are spelt in several ways: {some(alike)}.",
        "If they are one person each, that person stands on both sides: use one spelling.",
        {"alike": alike},
    )


def _single_label(known: Sequence[Utterance], clips_of: Counter[str]) -> Finding:
    labels: defaultdict[str, set[str | float]] = defaultdict(set)
    for each in known:
        labels[each.speaker].add(each.label)
    single = [who for who in labels if len(labels[who]) == 1]
    share = len(single) / len(labels)
    said = f"{len(single)} of {len(labels)} speakers have clips of one label only"
    values = {"single": len(single), "speakers": len(labels)}
    if share < 0.5 or max(clips_of.values()) == 1:
        return Finding("Speakers", "one label", "ok", f"{said}.", "", values)
    return Finding(
        "Speakers",
        "one label",
        "look",
        f"{said}: the label is a trait of the speaker.",
        f"The corpus holds {len(labels)} independent answers, not {len(known)}. Whatever tells speakers apart tells "
        "labels apart here, so a split by clip would measure voices; normalising by speaker is not possible.",
        values,
    )


def _of_class(task: Task, known: Sequence[Utterance]) -> Finding:
    speakers: defaultdict[str, set[str]] = defaultdict(set)
    for each in known:
        speakers[str(each.label)].add(each.speaker)
    counts = {label: len(speakers[label]) for label in sorted(speakers)}
    least = min(counts.values())
    few = [f"{label} ({count})" for label, count in counts.items() if count < FEW_SPEAKERS_OF_CLASS]
    if not few:
        said = f"{between(least, max(counts.values()))} of each."
        return Finding("Speakers", "of a class", "ok", said, "", {"speakers": counts})
    apart = task.split in ("speakers", "canonical")
    return Finding(
        "Speakers",
        "of a class",
        "broken" if least == 1 and apart else "look",
        f"fewer than {FEW_SPEAKERS_OF_CLASS} speak {some(few)}.",
        "A class of one speaker is never both learned and tested, one of two is chosen blindly: add speakers, or leave "
        "the class out.",
        {"speakers": counts},
    )


def check_classes(task: Task, utterances: Sequence[Utterance]) -> list[Finding]:
    """Has each class clips enough, everywhere?"""
    if task.kind == "regression":
        return [_numbers(utterances)]
    counts = Counter(str(each.label) for each in utterances)
    findings = [_balance(task, counts, is_identified(task, utterances))]
    if task.kind == "classification":
        findings.append(_parts(task, utterances, counts))
    return findings


def _numbers(utterances: Sequence[Utterance]) -> Finding:
    found = np.array([each.label for each in utterances], np.float64)
    low, middle, high = np.quantile(found, [0, 0.5, 1])
    share = Counter(found.tolist()).most_common(1)[0][1] / len(found)
    said = f"{low:g} to {high:g}, median {middle:g}, standard deviation {found.std():.3g}"
    return Finding(
        "Classes",
        "numbers",
        "look" if share > MAJORITY else "ok",
        f"{said}; the commonest value has {share:.0%} of the clips.",
        "A constant does well here: compare every error with that of the median." if share > MAJORITY else "",
        {"low": low, "median": middle, "high": high, "sd": float(found.std()), "commonest_share": share},
    )


def _balance(task: Task, counts: Counter[str], identified: bool) -> Finding:
    total = counts.total()
    (largest, most), (smallest, fewest) = counts.most_common()[0], counts.most_common()[-1]
    share = most / total
    said = f"{len(counts)}; largest {largest} ({most}, {share:.0%}), smallest {smallest} ({fewest})."
    advice = []
    if len(counts) == 1:
        advice.append("Nothing can be told apart: add a second class.")
    elif task.kind == "classification":
        if fewest < FEW_OF_CLASS and not identified:
            advice.append(f"A recall of fewer than {FEW_OF_CLASS} clips moves by a tenth with one of them.")
        if share > MAJORITY and task.metric != "uar":
            advice.append(f"Always answering {largest} scores {share:.2f}: report uar.")
    verdict = "broken" if len(counts) == 1 else "look" if advice else "ok"
    values = {"clips": dict(sorted(counts.items())), "majority_share": share}
    return Finding("Classes", "balance", verdict, said, " ".join(advice), values)  # type: ignore[arg-type]


def _parts(task: Task, utterances: Sequence[Utterance], counts: Counter[str]) -> Finding:
    """Classes that a part lacks: of the corpus, or of the splits that `noss run` draws."""
    check, labels = "in each part", sorted(counts)
    if task.split == "canonical":
        table = {part: Counter(str(each.label) for each in utterances if each.split == part) for part in SPLIT_NAMES}
        parts = {part: found for part, found in table.items() if found}
        sizes = ", ".join(f"{part} {found.total()}" for part, found in parts.items())
    else:
        try:
            drawn = make_splits(
                [str(each.label) for each in utterances], [each.speaker for each in utterances], task.split, SplitRule()
            )
        except CorpusError as error:
            return Finding("Classes", check, "broken", f"the corpus cannot be split as the task asks: {error}")
        parts = {}
        for split in drawn:
            for name, clips in (("train", split.train), ("dev", split.dev), ("test", split.test)):
                parts[f"{name} {split.name}"] = Counter(str(utterances[clip].label) for clip in clips)
        sizes = f"{len(drawn)} splits drawn"
    values = {"clips": {part: dict(sorted(found.items())) for part, found in parts.items()}}
    lacking = {part: [label for label in labels if not found[label]] for part, found in parts.items()}
    told = [f"{part} lacks {some(missing)}" for part, missing in lacking.items() if missing]
    if not told or task.split == "within speaker":  # there classes are left out on purpose
        fewest = 0 if told else min((found[label] for found in parts.values() for label in labels), default=0)
        return Finding("Classes", check, "ok", f"{sizes}; at least {fewest} clips of each class in each.", "", values)
    canonical = task.split == "canonical" and any(lacking.get(part) for part in ("train", "test"))
    return Finding(
        "Classes",
        check,
        "broken" if canonical else "look",
        f"{sizes}; {some(told)}.",
        "What training lacks is never predicted, what the test lacks does not count: recalls are of other classes than "
        "the name says.",
        values,
    )
