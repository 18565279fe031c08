"""Readers of corpora whose labels stand in lists of their own: TIMIT, IEMOCAP, LibriSpeech, SLURP, Fluent, CN-Celeb."""

import csv
import datetime
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noss.tasks.files import find, matches, scan, unknown
from noss.tasks.task import Trials, Utterance

TIMIT_FILE = (
    r"(?P<split>train|test)/dr(?P<dialect>[1-8])/(?P<speaker>(?P<sex>[fm])[a-z]{3}\d)/(?P<said>s[aix]\d+)"
    r"\.wav(?:\.wav)?"  # one repackaging writes RIFF beside SPHERE: SA1.WAV.wav
)
SEXES = {"f": "female", "m": "male"}
DAYS_IN_YEAR = 365.25
# Excited counts as happy: SUPERB's rule, 5,531 utterances. Our papers say four classes and not which.
EMOTIONS_IEMOCAP = {"ang": "anger", "hap": "happiness", "exc": "happiness", "neu": "neutral", "sad": "sadness"}
ATTRIBUTES = ("valence", "activation", "dominance")  # in the order of the brackets, 1 to 5


def read_timit_age(folder: Path) -> list[Utterance]:
    """Years between birth and recording, both `MM/DD/YY` of the twentieth century in SPKRINFO.TXT.

    Speakers whose birth date it does not give (`??/??/??`) have no age and are left out.
    """
    files = scan(folder)
    ages = {}
    for line in find(folder, files, "SPKRINFO.TXT")[1].splitlines():
        fields = line.split()  # ID Sex DR Use RecDate BirthDate Ht Race Edu Comments
        if len(fields) >= 6 and not line.startswith(";"):
            recorded, born = _date(fields[4]), _date(fields[5])
            if recorded and born:
                ages[f"{fields[1]}{fields[0]}".lower()] = (recorded - born).days / DAYS_IN_YEAR
    utterances = []
    for file, match in matches(files, TIMIT_FILE):
        speaker = match["speaker"].lower()
        if speaker in ages:
            utterances.append(Utterance(folder / file, file, ages[speaker], speaker, match["split"].lower()))
    return utterances


def _date(text: str) -> datetime.date | None:
    try:
        month, day, year = map(int, text.split("/"))
        return datetime.date(1900 + year, month, day)
    except ValueError:
        return None


def read_iemocap(folder: Path, attribute: str | None = None) -> list[Utterance]:
    """Sessions 1 to 4 for train, 5 for test. An emotion of four, or the mean rating of an attribute.

    Args:
        folder: holds `Session1` to `Session5`.
        attribute: "valence", "activation" or "dominance", 1 to 5; None for the emotion.
    """
    files = scan(folder)
    sound = {match["clip"]: file for file, match in matches(files, r"sentences/wav/[^/]+/(?P<clip>[^/]+)\.wav")}
    line_of = re.compile(r"^\[[\d.]+ - [\d.]+\]\s+(Ses0(\d)\w+_([FM])\w*)\s+(\w+)\s+\[([\d., ]+)\]", re.MULTILINE)
    utterances = []
    for file, _ in matches(files, r"dialog/EmoEvaluation/([^/]+)\.txt"):
        for name, session, sex, emotion, ratings in line_of.findall((folder / file).read_text("latin-1")):
            label: str | float | None = EMOTIONS_IEMOCAP.get(emotion)
            if attribute:
                label = float(ratings.split(",")[ATTRIBUTES.index(attribute)])
            if label is None:
                continue
            place = [*file.split("/")[:-3], "sentences", "wav", name.rpartition("_")[0], f"{name}.wav"]
            path = sound.get(name, "/".join(place))
            split = "test" if session == "5" else "train"
            utterances.append(Utterance(folder / path, path, label, f"ses0{session}{sex.lower()}", split))
    return utterances


def read_librispeech(folder: Path) -> list[Utterance]:
    """Sex of the reader, from SPEAKERS.TXT; the split is the first word of the part's name."""
    files = scan(folder)
    sexes = {}
    for line in find(folder, files, "SPEAKERS.TXT")[1].splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) >= 3 and not line.startswith(";"):
            sexes[fields[0]] = SEXES.get(fields[1].lower(), "")
    pattern = r"(?P<split>train|dev|test)-(?:clean|other)[^/]*/(?P<reader>\d+)/\d+/(?P<clip>[\d-]+)\.flac"
    return [
        Utterance(folder / file, file, sexes.get(match["reader"], ""), match["reader"], match["split"].lower())
        for file, match in matches(files, pattern)
    ]


def read_slurp(folder: Path) -> list[Utterance]:
    """Scenario and action of a sentence, as SLURP's own evaluation joins them; real recordings, near and far."""
    files = scan(folder)
    sound = {file.rpartition("/")[2]: file for file, _ in matches(files, r"slurp_real/([^/]+)\.flac")}
    speakers = {}
    for sentence in json.loads(find(folder, files, "metadata.json")[1]).values():
        for file, about in sentence["recordings"].items():
            speakers[file] = about.get("usrid", "")
    utterances = []
    for part, split in (("train", "train"), ("devel", "dev"), ("test", "test")):
        for line in find(folder, files, f"{part}.jsonl")[1].splitlines():
            sentence = json.loads(line)
            for recording in sentence["recordings"]:
                file = sound.get(recording["file"], f"audio/slurp_real/{recording['file']}")
                speaker = speakers.get(recording["file"]) or unknown(file)
                intent = f"{sentence['scenario']}_{sentence['action']}"
                utterances.append(Utterance(folder / file, file, intent, speaker, split))
    return utterances


def read_fluent(folder: Path) -> list[Utterance]:
    """The three slots of a command, joined: 31 intents."""
    files = scan(folder)
    utterances = []
    for part, split in (("train", "train"), ("valid", "dev"), ("test", "test")):
        listed_in, text = find(folder, files, f"data/{part}_data.csv")
        top = listed_in.rpartition("data/")[0]
        for row in csv.DictReader(io.StringIO(text)):
            intent = " ".join(row[slot] for slot in ("action", "object", "location"))
            file = top + row["path"]
            utterances.append(Utterance(folder / file, file, intent, row["speakerId"], split))
    return utterances


def read_cn_celeb(folder: Path) -> list[Utterance]:
    """The clips of enrolment and test, and, if there, those of the speakers of dev.lst to train PLDA on."""
    files = scan(folder)
    pattern = r"eval/(?P<part>enroll|test)/(?P<speaker>id\d+)-(?P<clip>[^/]+)\.(?:flac|wav)"
    utterances = [
        Utterance(folder / file, file, match["speaker"], match["speaker"], "test")
        for file, match in matches(files, pattern)
    ]
    if any(f"/{file}".endswith("/dev/dev.lst") for file in files):
        speakers = set(find(folder, files, "dev/dev.lst")[1].split())
        for file, match in matches(files, r"data/(?P<speaker>id\d+)/(?P<clip>[^/]+)\.(?:flac|wav)"):
            if match["speaker"] in speakers:
                utterances.append(Utterance(folder / file, file, match["speaker"], match["speaker"], "train"))
    return utterances


def read_cn_celeb_trials(folder: Path, utterances: Sequence[Utterance]) -> Trials:
    """Lines of trials.lst: `id00800-enroll test/id00800-singing-01-005.wav 1`. A clip that is not there is -1."""
    position = {each.path.stem: index for index, each in enumerate(utterances) if each.split == "test"}
    enrol, test, same = [], [], []
    for line in find(folder, scan(folder), "eval/lists/trials.lst")[1].splitlines():
        model, clip, target = line.split()
        enrol.append(position.get(model, -1))
        test.append(position.get(clip.rpartition("/")[2].rpartition(".")[0], -1))
        same.append(target == "1")
    return Trials(np.array(enrol, np.int32), np.array(test, np.int32), np.array(same, bool))
