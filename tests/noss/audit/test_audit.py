"""Each defect, planted and found; the same corpus without it is not suspected."""

import dataclasses
import json

import numpy as np
import pytest

import trill.audio
from noss.audit import audit, find_task
from noss.audit.leaks import check_leaks
from noss.audit.people import check_classes, check_speakers
from noss.audit.sounds import Measures
from noss.representations import load_representation
from noss.tasks import CorpusError, load, manifest_task
from tests.noss.audit.corpora import RATE, Row, clean, in_parts, sound, write
from tests.noss.made import task, utterances


def look(tmp_path, rows, representation=None, **options):
    task = manifest_task(write(tmp_path / "corpus", rows), **options)
    return audit(task, representation=representation, cache=tmp_path / "cache", quiet=True)


def told(rows, kind="classification", metric="uar", split="speakers"):
    """What the list alone tells: check -> finding."""
    asked = task(kind, metric, split)
    parts = [row.split or None for row in rows]
    clips = utterances([row.label for row in rows], [row.speaker for row in rows], parts)
    return {each.check: each for each in (*check_speakers(asked, clips), *check_classes(asked, clips))}


def leaks(tmp_path, rows, kind="classification"):
    """What the probes find: check -> finding."""
    asked = manifest_task(write(tmp_path / "corpus", rows), kind=kind)
    clips = load(asked)
    measures = np.concatenate([Measures().embed_windows(trill.audio.read(clip.path)) for clip in clips])
    return {each.check: each for each in check_leaks(asked, clips, measures, rounds=199)}


def suspected(found):
    return {f"{each.section}/{each.check}" for each in found.findings if each.verdict in ("look", "broken")}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("parts", [False, True])
def test_a_clean_corpus_is_not_suspected(tmp_path, seed, parts):
    rows = clean(seed=seed)
    found = look(tmp_path, in_parts(rows) if parts else rows)
    assert suspected(found) == set()
    assert (found.verdict, found.num_clips, found.num_speakers, found.num_labels) == ("ok", 60, 10, 3)
    assert found.seconds == pytest.approx(sum(len(row.sound) for row in rows) / RATE)
    assert "nothing was found" in found.text()


# Leaks.


def longer(row, rng):
    row.sound = np.r_[row.sound, sound(rng, np.zeros(9), 0.5 * "abc".index(row.label) + 0.01)]


def louder(row, rng):
    row.sound = row.sound * (0.02, 0.2, 1)["abc".index(row.label)]


def later(row, rng):
    """Silence before, taken from what is after: no clip gets longer."""
    pause = np.zeros(9_000)
    lead = (0, 4_000, 9_000)["abc".index(row.label)]
    row.sound = np.r_[pause[:lead], row.sound, pause[lead:]]


def shifted(row, rng):
    row.sound = row.sound + (0, 0.003, 0.006)["abc".index(row.label)]


def encoded(row, rng):
    row.path = row.path.replace(".wav", (".wav", ".flac", ".ogg")["abc".index(row.label)])


def finer(row, rng):
    """24 bits are more bytes a second."""
    row.options["subtype"] = "PCM_24" if row.label == "a" else "PCM_16"


def narrower(row, rng):
    if row.label == "a":
        row.sound, row.options["rate"] = (
            np.interp(np.arange(0, len(row.sound), 2), range(len(row.sound)), row.sound),
            8000,
        )


LEAKS = {
    "duration": (longer, "Cut all clips to one length"),
    "loudness": (louder, "normalise the gain"),
    "silence": (later, "Trim all alike"),
    "recording": (shifted, "encode all alike"),
    "recording ": (encoded, "encode all alike"),
    "recording  ": (finer, "encode all alike"),
    "recording   ": (narrower, "encode all alike"),
}


@pytest.mark.parametrize("check", LEAKS)
def test_a_leak_is_found(tmp_path, check):
    plant, advice = LEAKS[check]
    rows, rng = clean(), np.random.default_rng(1)
    for row in rows:
        plant(row, rng)
    finding = leaks(tmp_path, rows)[check.strip()]
    assert finding.verdict in ("look", "broken")
    assert advice in finding.advice
    assert finding.values["p"] == 0.005
    assert finding.values["low"] > 1 / 3
    assert (finding.verdict == "broken") == (finding.values["uar"] >= 2 / 3)


def test_a_full_leak_breaks_the_audit(tmp_path):
    rows, rng = clean(), np.random.default_rng(1)
    for row in rows:
        longer(row, rng)
    found = look(tmp_path, rows)
    assert found.of("Leaks", "duration").verdict == "broken"
    assert found.of("Leaks", "duration").values["uar"] > 0.9
    assert found.verdict == "broken"


@pytest.mark.parametrize("name", ["{label}_{path}", "{label}/{path}", "{path}"])
def test_labels_in_names_are_information(tmp_path, name):
    """Numbers in the order of the labels are names too."""
    rows = clean()
    order = sorted(rows, key=lambda row: row.label)
    for number, row in enumerate(order):
        row.path = name.format(label=row.label, path=f"{number:04d}.wav")
    finding = leaks(tmp_path, rows)["file names"]
    assert finding.verdict == "ok"
    assert "hears no names" in finding.advice
    assert finding.values["uar"] > 0.9


def test_a_name_that_tells_the_speaker_is_no_leak(tmp_path):
    rows = clean(trait=True, speakers=12)
    for row in rows:
        row.path = f"S{row.speaker[1:]}/{row.path}"
    assert leaks(tmp_path, rows)["file names"].values["p"] > 0.05


def test_numbers_leak_by_correlation(tmp_path):
    rows, rng = clean(), np.random.default_rng(2)
    for row in rows:
        row.label = f"{20 + 40 * rng.random():.1f}"
    assert {each.verdict for each in leaks(tmp_path, rows, "regression").values()} == {"ok"}
    for row in rows:
        row.sound = np.r_[row.sound, sound(rng, np.zeros(9), 0.02 * float(row.label))]
    finding = leaks(tmp_path, rows, "regression")["duration"]
    assert finding.values["correlation"] > 0.8
    assert finding.verdict == "broken"


# Copies.


def test_a_copied_file_is_found_and_harmless_within_a_speaker(tmp_path):
    rows = clean()
    rows.append(dataclasses.replace(rows[0], path="again.wav"))
    found = look(tmp_path, rows)
    assert suspected(found) == {"Copies/identical sound"}
    assert f"{rows[0].path} = again.wav" in found.of("Copies", "identical sound").said
    assert found.of("Copies", "identical sound").values["same_file"] == 1


def test_a_copy_in_disguise_under_another_speaker_and_label(tmp_path):
    rows = clean()
    first = rows[0]
    disguised = np.r_[np.zeros(3_000), -0.3 * first.sound, np.zeros(5_000)]
    rows.append(Row("again.flac", "abc".replace(first.label, "")[0], "s9", disguised))
    found = look(tmp_path, rows)
    assert {"Copies/two speakers", "Copies/two labels", "Copies/on both sides"} <= suspected(found)
    assert found.of("Copies", "two labels").verdict == "broken"
    assert found.of("Copies", "identical sound").values["same_file"] == 0


def test_a_copy_in_the_test_part(tmp_path):
    rows = in_parts(clean())
    taught, tested = (next(row for row in rows if row.split == part) for part in ("train", "test"))
    rows.append(dataclasses.replace(tested, path="again.wav", sound=taught.sound, label=taught.label))
    found = look(tmp_path, rows)
    assert found.of("Copies", "on both sides").verdict == "broken"
    assert found.of("Copies", "two labels").verdict == "ok"


# Speakers and classes.


def test_a_speaker_in_two_parts(tmp_path):
    rows = in_parts(clean())
    next(row for row in rows if row.split == "test").speaker = "s0"
    found = look(tmp_path, rows)
    assert found.of("Speakers", "on both sides").verdict == "broken"
    assert found.of("Speakers", "on both sides").values["speakers"] == ["s0"]
    assert "stand in more" in found.of("List", "as noss run reads it").said
    assert found.of("Leaks", "duration").verdict == "ok"


def test_one_label_a_speaker():
    finding = told(clean(trait=True, speakers=12))["one label"]
    assert finding.verdict == "look"
    assert "12 independent answers, not 72" in finding.advice


def test_a_class_of_one_speaker():
    rows = clean()
    for row in rows:
        if row.label == "c" and row.speaker != "s3":
            row.label = "a"
    finding = told(rows)["of a class"]
    assert finding.verdict == "broken"
    assert "c (1)" in finding.said


def test_four_speakers_are_nearly_vacuous(tmp_path):
    found = look(tmp_path, clean(speakers=4, clips=12), load_representation("log-mel"))
    assert "nearly vacuous" in found.of("Speakers", "number").advice
    assert "nearly vacuous" in found.of("Leaks", "duration").said
    assert "nearly vacuous" in found.of("Inflation", "by file").said


def test_few_speakers_with_one_label_each_cannot_tell(tmp_path):
    finding = leaks(tmp_path, clean(speakers=6, labels="ab", trait=True))["duration"]
    assert finding.verdict == "skipped"
    assert "p is 0.05 or more" in finding.advice


def test_two_spellings():
    rows = clean()
    rows[0].speaker = "S0"
    rows[6].speaker = "s01"
    assert told(rows)["spelling"].values["alike"] == ["S0 = s0", "s01 = s1"]


def test_nobody_knows_the_speakers(tmp_path):
    found = look(tmp_path, clean(), load_representation("log-mel"), group=None)
    assert "Speakers/number" in suspected(found)
    assert found.num_speakers == 0
    assert found.of("Inflation", "by file").verdict == "skipped"


def test_a_class_that_the_test_part_lacks():
    rows = [row for row in in_parts(clean()) if (row.split, row.label) != ("test", "b")]
    finding = told(rows, split="canonical")["in each part"]
    assert finding.verdict == "broken"
    assert "test lacks b" in finding.said


def test_a_majority_flatters_accuracy():
    rows = clean()
    for row in rows[:50]:
        row.label = "a"
    assert "always answering a" in told(rows, metric="accuracy")["balance"].advice.lower()


# Damage and extremes.


def test_damaged_files_and_lists_are_told_and_the_rest_is_audited(tmp_path):
    rows = clean()
    rows += [
        Row("missing.wav", "a", "s0", None),
        Row("empty.wav", "", "s0", rows[0].sound[:3_000]),
        Row("silent.wav", "a", "s0", np.zeros(RATE)),
        Row("noise.wav", "a", "s0", None),
    ]
    write(tmp_path / "corpus", rows)
    (tmp_path / "corpus" / "noise.wav").write_bytes(b"RIFF no sound")
    found = audit(manifest_task(tmp_path / "corpus" / "mine.csv"), quiet=True)
    listed = found.of("List", "as noss run reads it")
    assert (listed.verdict, listed.values["missing"], listed.values["without_label"]) == ("broken", 1, 1)
    assert list(found.of("List", "sound").values["failed"]) == ["noise.wav"]
    assert found.of("List", "silence").values["silent"] == ["silent.wav"]
    assert found.num_clips == 62
    assert found.of("Leaks", "duration").values["clips"] == 61


def test_clips_without_a_speaker_are_nobody_s(tmp_path):
    rows = clean()
    rows[3].speaker = ""
    found = look(tmp_path, rows)
    assert found.of("List", "as noss run reads it").values["without_speaker"] == 1
    assert found.of("Speakers", "number").values == {"speakers": 10, "unknown_clips": 1}


def test_parts_that_are_no_parts(tmp_path):
    rows = clean()
    for row in rows:
        row.split = "fold 1"
    found = look(tmp_path, rows)
    assert "otherwise" in found.of("List", "as noss run reads it").said
    assert found.of("Leaks", "duration").verdict == "skipped"


def test_numbers_that_are_none(tmp_path):
    rows = clean()
    for number, row in enumerate(rows):
        row.label = "nan" if number < 2 else str(number)
    found = audit(manifest_task(write(tmp_path / "corpus", rows), kind="regression"), quiet=True)
    assert found.of("List", "as noss run reads it").values["without_label"] == 2
    assert found.num_clips == 58


@pytest.mark.parametrize(
    ("rows", "section", "check", "verdict"),
    [
        (clean(speakers=1), "Leaks", "duration", "skipped"),
        (clean(labels="a"), "Classes", "balance", "broken"),
        (clean(speakers=2, clips=1, labels="ab", trait=True), "Leaks", "duration", "skipped"),
    ],
    ids=["one speaker", "one class", "two clips"],
)
def test_extremes_are_answered(tmp_path, rows, section, check, verdict):
    found = look(tmp_path, rows, load_representation("log-mel"))
    assert found.of(section, check).verdict == verdict
    assert found.of("Inflation", "by file").verdict == "skipped"
    assert json.loads(found.json())["verdict"] == found.verdict


def test_a_speaker_to_be_recognised_is_no_defect(tmp_path):
    rows = clean(speakers=8, clips=10)
    for row in rows:
        row.label = row.speaker
        row.sound = row.sound * 0.6 ** int(row.speaker[1:])
    found = look(tmp_path, rows, load_representation("log-mel"), split="clips")
    assert found.of("Speakers", "on both sides").verdict == "ok"
    assert found.of("Leaks", "loudness").verdict == "look"
    assert "cannot be kept apart" in found.of("Inflation", "by file").said


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd"])
def test_nothing_outside_the_folder_is_read(tmp_path, path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine.csv").write_text(f"path,label,speaker\n{path},a,x\n")
    with pytest.raises(CorpusError, match="must stay in"):
        audit(manifest_task(tmp_path / "corpus" / "mine.csv"), quiet=True)


# Inflation.


def coloured(rows, rng):
    """Labels that a spectrum tells, whoever speaks."""
    for row in rows:
        hertz = {"a": 400, "b": 1_500, "c": 3_000}[row.label]
        row.sound = row.sound + 0.3 * np.sin(2 * np.pi * hertz * np.arange(len(row.sound)) / RATE)
    return rows


def test_a_split_by_file_inflates_what_voices_tell(tmp_path):
    rows = clean(trait=True, speakers=12)
    apart = look(tmp_path, rows, load_representation("log-mel")).of("Inflation", "by file")
    assert apart.values["file"]["value"] > apart.values["speaker"]["value"] + 0.3
    assert apart.values["difference"]["low"] > 0
    assert (apart.verdict, "do not compare" in apart.advice) == ("ok", True)
    dealt = look(tmp_path, rows, load_representation("log-mel"), split="clips")
    assert dealt.of("Inflation", "by file").verdict == "broken"
    assert dealt.of("Speakers", "on both sides").verdict == "look"


def test_less_error_is_inflation_too(tmp_path):
    rows = clean(speakers=12)
    for row in rows:
        row.label = str(20 + 5 * int(row.speaker[1:]))
    finding = look(tmp_path, rows, load_representation("log-mel"), kind="regression").of("Inflation", "by file")
    assert finding.values["file"]["value"] < finding.values["speaker"]["value"] - 5
    assert "do not compare" in finding.advice


def test_and_not_what_any_voice_tells(tmp_path):
    rows = coloured(clean(), np.random.default_rng(0))
    finding = look(tmp_path, rows, load_representation("log-mel"), split="clips").of("Inflation", "by file")
    assert finding.verdict == "ok"
    assert finding.advice == ""
    assert finding.values["difference"]["low"] <= 0
    assert finding.values["speaker"]["value"] > 0.9


# Around it.


def test_the_forms_of_a_report(tmp_path):
    found = look(tmp_path, clean())
    assert max(map(len, found.text().splitlines())) <= 100
    assert [line for line in found.markdown().splitlines() if line.startswith("## ")][-1] == "## Not checked"
    assert len(json.loads(found.json())["findings"]) == len(found.findings)
    with pytest.raises(KeyError):
        found.of("Leaks", "nothing")


def test_packs_and_folders_are_tasks(tmp_path):
    write(tmp_path, clean())
    (tmp_path / "mine.csv").rename(tmp_path / "manifest.csv")
    assert find_task(tmp_path).split == "speakers"
    (tmp_path / "task.json").write_text(json.dumps({"name": "pack", "split": "clip", "metric": "accuracy"}))
    assert (find_task(tmp_path).name, find_task(tmp_path).split) == ("pack", "clips")
    with pytest.raises(CorpusError, match=f"has the packs {tmp_path.name}.*: name one"):
        find_task(tmp_path.parent)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CorpusError, match="Name a CSV file"):
        find_task(tmp_path / "nothing")


def test_no_task_and_no_corpus():
    with pytest.raises(ValueError, match="a task must be one of"):
        audit("nothing")
    with pytest.raises(CorpusError, match="got none"):
        audit("crema_d")
