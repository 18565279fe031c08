"""The tasks of the TRILL paper (Shor et al. 2020, arXiv:2002.12764), inter- and intra-speaker.

Layouts agree with the builders of TensorFlow Datasets (`tensorflow_datasets/audio/*.py`); the names in the test archive
of Speech Commands with copies of it on GitHub. No reader has seen a whole real archive. Not checked: how many clips of
`iden_split.txt` the VoxCeleb archives lack; which speakers the paper's count of VoxForge's 13,559 tells apart.
"""

import re
import wave
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np

from noss.tasks.files import by_name, find, part_name, scan, unknown
from noss.tasks.task import Corpus, CorpusError, Task, Utterance

VOXCELEB1 = Corpus(
    title="VoxCeleb1",
    source="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html",
    licence="Creative Commons, see the page; access on request",
    layout="""
iden_split.txt                              from the same page
wav/id10001/1zcIwhmdeo4/00001.wav           vox1_dev_wav.zip and vox1_test_wav.zip, together
...                                         or each in a folder: dev/wav/..., test/wav/...""",
    tfds="voxceleb",
)
VOXFORGE = Corpus(
    title="VoxForge",
    source="http://www.repository.voxforge1.org/downloads/",
    licence="GPL 3",
    layout="""
de/Trunk/Audio/Main/16kHz_16bit/guenter-20140214-afn/wav/de5-001.wav       every .tgz unpacked where it lies
SpeechCorpus/Trunk/Audio/Main/16kHz_16bit/Aaron-20080318-kdl/wav/a0001.wav  English; en/ will do
...                                         and es, fr, it, ru; what lies between language and archive is free""",
    tfds="voxforge",
)
SPEECH_COMMANDS = """
speech_commands_v0.0{0}/validation_list.txt, testing_list.txt
speech_commands_v0.0{0}/_background_noise_/running_tap.wav
speech_commands_v0.0{0}/bed/00176480_nohash_0.wav
...                                         speech_commands_v0.0{0}.tar.gz in a folder of its own
speech_commands_test_set_v0.0{0}/_silence_/1035.wav
speech_commands_test_set_v0.0{0}/_unknown_/bird_a4383927_nohash_0.wav.wav
speech_commands_test_set_v0.0{0}/yes/0ab3b47d_nohash_0.wav
...                                         speech_commands_test_set_v0.0{0}.tar.gz in a folder of its own"""
SPEECH_COMMANDS_V1, SPEECH_COMMANDS_V2 = (
    Corpus(
        title=f"Speech Commands v{version}",
        source=f"http://download.tensorflow.org/data/speech_commands_v0.0{version}.tar.gz and "
        f"http://download.tensorflow.org/data/speech_commands_test_set_v0.0{version}.tar.gz",
        licence="CC BY 4.0",
        layout=SPEECH_COMMANDS.format(version),
        tfds="speech_commands" if version == 2 else None,
    )
    for version in (1, 2)
)
CREMA_D = Corpus(
    title="CREMA-D",
    source="https://github.com/CheyneyComputerScience/CREMA-D",
    licence="ODbL 1.0",
    layout="""
AudioWAV/1001_DFA_ANG_XX.wav
...                                         fetched with Git LFS""",
    tfds="crema_d",
)
SAVEE = Corpus(
    title="SAVEE",
    source="http://kahlan.eps.surrey.ac.uk/savee/",
    licence="free for research, access on request",
    layout="""
AudioData/DC/a01.wav                        or ALL/DC_a01.wav
...                                         DC, JE, JK, KL""",
    tfds="savee",
)
DEMENTIABANK = Corpus(
    title="DementiaBank, Pitt corpus",
    source="https://dementia.talkbank.org/",
    licence="members of DementiaBank only: ask for access, keep the recordings to yourself",
    layout="""
Control/cookie/002-0.mp3                    the picture description alone; .wav will do
Dementia/cookie/001-0.mp3
...""",
    tfds="dementiabank",
)

LANGUAGES = {"de": "de", "en": "en", "speechcorpus": "en", "es": "es", "fr": "fr", "it": "it", "ru": "ru"}
COMMANDS = frozenset({"down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes"})
NOISE, SILENCE, UNKNOWN_WORD = "_background_noise_/", "_silence_", "_unknown_"
# As in the builder of TensorFlow Datasets: a second every half second, this file for the dev part.
NOISE_FOR_DEV, NOISE_SECONDS, NOISE_HOP_SECONDS = "running_tap.wav", 1.0, 0.5

EMOTIONS_CREMA_D = {
    "ang": "anger",
    "dis": "disgust",
    "fea": "fear",
    "hap": "happiness",
    "neu": "neutral",
    "sad": "sadness",
}
EMOTIONS_SAVEE = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}

read_crema_d = by_name(
    r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>\w+)\.wav",
    label="{emotion}",
    speaker="{actor}",
    classes=EMOTIONS_CREMA_D,
)
read_savee = by_name(
    r"(?P<actor>DC|JE|JK|KL)[/_](?P<emotion>sa|su|[adfhn])(?P<number>\d\d)\.wav",
    label="{emotion}",
    speaker="{actor}",
    classes=EMOTIONS_SAVEE,
)
# A person who fell ill between two visits is in both folders, under one number: one speaker, kept whole.
read_dementiabank = by_name(
    r"(?P<group>control|dementia)/cookie/(?P<person>\d+)-(?P<visit>\w+)\.(?:mp3|wav)",
    label="{group}",
    speaker="{person}",
)


def read_voxceleb1(folder: Path) -> list[Utterance]:
    """Lines of iden_split.txt: 1, 2 or 3 for train, dev or test, and a path below `wav/`. The label is the person."""
    files = scan(folder)
    below_wav = {"/".join(file.split("/")[-3:]): file for file in files if file.lower().endswith(".wav")}
    listed_in, text = find(folder, files, "iden_split.txt")
    utterances = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([123])\s+((id\d+)/[^/]+/[^/]+\.wav)", line.strip())
        if match is None:
            raise CorpusError(
                f"a line of iden_split.txt must be like `1 id10003/na8-QEFmj44/00003.wav`, "
                f"line {number} of {folder / listed_in} is {line[:80]!r}. Fetch the list of VoxCeleb 1.1 again."
            )
        split, path, person = match.groups()
        name = below_wav.get(path, f"wav/{path}")
        utterances.append(Utterance(folder / name, name, person, person, ("train", "dev", "test")[int(split) - 1]))
    return utterances


def read_voxforge(folder: Path) -> list[Utterance]:
    """Language from a folder's name, speaker from the archive's: `guenter-20140214-afn`.

    All that "anonymous" sent counts as one speaker, as in TensorFlow Datasets, and so does a name met in two
    languages: nobody is on both sides, at the price of one large group. An archive that has both `wav/` and `flac/` is
    taken once.
    """
    pattern = re.compile(
        rf"(?:^|/)(?P<language>{'|'.join(LANGUAGES)})/(?:.+/)?"
        r"(?P<archive>(?P<who>[^/-]+)-[^/]+)/(?P<form>wav|flac)/[^/]+\.(?P=form)$",
        re.IGNORECASE,
    )
    archives: defaultdict[str, list[Utterance]] = defaultdict(list)
    form_of: dict[str, str] = {}
    for file in reversed(scan(folder)):  # wav before flac
        if match := pattern.search(file):
            archive = file[: match.end("archive")]
            if form_of.setdefault(archive, match["form"]) == match["form"]:
                language = LANGUAGES[match["language"].lower()]
                archives[archive].append(Utterance(folder / file, file, language, match["who"].lower()))
    return [utterance for archive in sorted(archives) for utterance in reversed(archives[archive])]


def read_speech_commands(folder: Path, alone: bool = False) -> list[Utterance]:
    """Ten words, `_unknown_` (all others) and `_silence_`; train and dev by the lists, test from its own archive.

    Silence to train on is cut from `_background_noise_`: a second every half second, `running_tap.wav` for dev. Its
    speaker is the noise.

    Args:
        folder: holds both archives of one version.
        alone: for one speaker at a time: the first archive only, no silence and no split.
    """
    files = scan(folder)
    main = _one(folder, "validation_list.txt", files)
    listed = {part: set(find(folder, files, f"{main}{part}_list.txt")[1].split()) for part in ("validation", "testing")}
    words = _below(main, [file for file in files if "/_silence_/" not in f"/{file}"])
    if alone:
        return [_word(folder, main + word) for word in sorted(words) if not word.startswith(NOISE)]
    test = _one(folder, "_silence_/", [file.rpartition("/")[0] + "/" for file in files])
    # A word of a list that is not on disk is kept: load says so. Test words stand again in the archive for test.
    spoken = (words | listed["validation"]) - listed["testing"]
    return [
        *(_word(folder, main + word, _part(word, listed)) for word in sorted(spoken) if not word.startswith(NOISE)),
        *(second for word in sorted(words) if word.startswith(NOISE) for second in _silence(folder, main + word)),
        *(_word(folder, test + word, "test") for word in sorted(_below(test, files))),
    ]


def _one(folder: Path, what: str, found: list[str]) -> str:
    """The one place that holds `what`, as a prefix: "" or with a `/` at its end."""
    places = {file.removesuffix(what) for file in found if file.endswith(what)}
    if len(places) != 1:
        raise CorpusError(
            f"{folder} must hold {what} once, got {len(places)}. "
            "Unpack both archives of one version there, each into a folder of its own."
        )
    return places.pop()


def _below(place: str, files: list[str]) -> set[str]:
    """The WAVs one folder below a place, as `word/clip.wav`."""
    below = (file.removeprefix(place) for file in files if file.startswith(place))
    return {file for file in below if file.count("/") == 1 and file.lower().endswith(".wav")}


def _part(word: str, listed: dict[str, set[str]]) -> str:
    return "dev" if word in listed["validation"] else "train"


def _word(folder: Path, file: str, split: str | None = None) -> Utterance:
    *_, word, clip = file.split("/")
    said = word if word in COMMANDS or word == SILENCE else UNKNOWN_WORD
    person = re.search(r"([0-9a-f]+)_nohash_\d+", clip)
    return Utterance(folder / file, file, said, person[1] if person else unknown(file), split)


def _silence(folder: Path, file: str) -> list[Utterance]:
    try:
        with wave.open(str(folder / file)) as header:  # for its length; no sample is read
            seconds = header.getnframes() / header.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        raise CorpusError(f"noise must be WAV, {folder / file} is not: {error}. Unpack the archive again.") from error
    split = "dev" if file.endswith(NOISE_FOR_DEV) else "train"
    starts = np.arange(0, seconds - NOISE_SECONDS, NOISE_HOP_SECONDS).tolist()
    return [
        Utterance(folder / file, part_name(file, start), SILENCE, unknown(file), split, start, start + NOISE_SECONDS)
        for start in starts
    ]


TASKS = (
    Task("voxceleb1", VOXCELEB1, "speaker", read_voxceleb1, split="canonical"),
    Task("voxforge", VOXFORGE, "language", read_voxforge),
    Task("speech_commands", SPEECH_COMMANDS_V2, "command", read_speech_commands, split="canonical"),
    Task("speech_commands_v1", SPEECH_COMMANDS_V1, "command", read_speech_commands, split="canonical"),
    Task("crema_d", CREMA_D, "emotion", read_crema_d),
    Task("savee", SAVEE, "emotion", read_savee),
    Task("dementiabank", DEMENTIABANK, "diagnosis", read_dementiabank),
    Task("crema_d_intra", CREMA_D, "emotion", read_crema_d, split="within speaker"),
    Task("savee_intra", SAVEE, "emotion", read_savee, split="within speaker"),
    Task(
        "speech_commands_intra",
        SPEECH_COMMANDS_V2,
        "command",
        partial(read_speech_commands, alone=True),
        split="within speaker",
    ),
)
