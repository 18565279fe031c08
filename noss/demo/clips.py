"""Who speaks in the demo suite, in which languages, words and styles: a row each, and clips drawn from them by seed."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from noss.demo import synthesis
from noss.demo.synthesis import Syllable, Voice

SEED = 2020
NUM_SPEAKERS = 24


@dataclasses.dataclass(frozen=True)
class Speaker:
    """Somebody invented.

    Args:
        name: unique.
        gender: of the voice: "female" or "male".
        voice: when neutral.
        expression: how far styles are acted out, around 1.
    """

    name: str
    gender: str
    voice: Voice
    expression: float


@dataclasses.dataclass(frozen=True)
class Language:
    """An invented phonology.

    Args:
        shapes: of syllables: C a consonant, V a vowel.
        consonants: with repetitions, more frequent ones.
        vowels: likewise.
        rhythm: lengths of vowels, in turn.
        syllables: at least and at most, so that sentences last equally long.
        tones: a syllable's pitch from its begin to its end, semitones; one of them at random.
    """

    shapes: tuple[str, ...]
    consonants: str
    vowels: str
    syllables: tuple[float, float]
    rhythm: tuple[float, ...] = (1.0,)
    tones: tuple[tuple[float, float], ...] = ((0.0, 0.0),)


@dataclasses.dataclass(frozen=True)
class Style:
    """How a manner of speaking changes a voice.

    Args:
        pitch: semitones higher.
        span: of the melody, over ordinary.
        change: fields of the voice -> factor, or what is added to `level` and `breath`.
    """

    pitch: float = 0.0
    span: float = 1.0
    change: tuple[tuple[str, float], ...] = ()


# Much is shared: they differ in how often a sound comes, in rhythm and in tone.
LANGUAGES = {
    "mavo": Language(("CV", "CV", "V"), "ptkmnlsr", "aEiou", (5.5, 8.5)),
    "skret": Language(("CVC", "CVC", "CV"), "ptkmnlsrSf", "aEIUi", (3.5, 6.0), rhythm=(1.4, 0.7)),
    "wulo": Language(
        ("CV", "CV", "CVn"),
        "bdgmnlwjsp",
        "aiuoE",
        (4.5, 7.5),
        tones=((2.0, 2.0), (-2.0, -2.0), (-2.0, 3.0), (3.0, -2.0)),
    ),
}
# In pairs that differ in order alone: what is averaged over time cannot tell them apart.
WORDS = {
    "mida": ("mi", "da"),
    "dami": ("da", "mi"),
    "sulo": ("su", "lo"),
    "losu": ("lo", "su"),
    "tepa": ("tE", "pa"),
    "pate": ("pa", "tE"),
}
STYLES = {
    "neutral": Style(),
    "whispered": Style(change=(("phonation", 0.0), ("level", -10.0), ("speed", 0.95))),
    "lively": Style(4.0, 2.2, (("speed", 1.12), ("level", 2.0), ("open_quotient", 0.92))),
    "low": Style(-2.0, 0.4, (("speed", 0.85), ("level", -4.0), ("dullness", 2.2), ("breath", 0.05))),
    "shouted": Style(5.0, 1.2, (("level", 8.0), ("open_quotient", 0.7), ("dullness", 0.4), ("speed", 0.95))),
}
ADDED = ("level", "breath")  # the rest is multiplied


@functools.cache
def people(count: int = NUM_SPEAKERS) -> list[Speaker]:
    """Invented speakers, by turns female and male; the ranges of their pitch and tract overlap."""
    found = []
    for number in range(count):
        rng = np.random.default_rng([SEED, 0, number])
        gender = ("female", "male")[number % 2]
        f0, tract = (205.0, 1.15) if gender == "female" else (118.0, 1.0)
        voice = Voice(
            f0=float(f0 * 2 ** (rng.normal(0, 3.0) / 12)),
            tract=float(tract * rng.normal(1, 0.05)),
            open_quotient=float(rng.uniform(0.5, 0.75)),
            dullness=float(rng.uniform(0.8, 2.5)),
            breath=float(rng.uniform(0.005, 0.08)),
            jitter=float(rng.uniform(0.004, 0.02)),
            speed=float(rng.normal(1, 0.08)),
            vowels=(float(rng.normal(1, 0.06)), float(rng.normal(1, 0.06))),
        )
        found.append(Speaker(f"speaker{number:02d}", gender, voice, float(rng.uniform(0.6, 1.2))))
    return found


class Clip(NamedTuple):
    """What is said, by whom, how, and what is asked about it."""

    label: str
    speaker: Speaker
    syllables: list[Syllable]
    style: str
    seed: list[int]


def sentence(language: Language, rng: np.random.Generator, syllables: int) -> list[Syllable]:
    """Nonsense in a language: its syllables at random, the pitch falling towards the end."""
    found = []
    for number in range(syllables):
        shape = str(rng.choice(language.shapes))
        phones = "".join(
            str(rng.choice(list({"C": language.consonants, "V": language.vowels}.get(place, place)))) for place in shape
        )
        begin, end = language.tones[rng.integers(len(language.tones))]
        falling = 1.5 - 3 * number / syllables + rng.normal(0, 0.7)
        last = 1.3 if number == syllables - 1 else 1.0
        length = language.rhythm[number % len(language.rhythm)] * last
        found.append(Syllable(phones, (begin + falling, end + falling - 0.5), length, float(rng.uniform(0.75, 1.1))))
    return found


def _speakers(task: int) -> Iterator[Clip]:
    for index, (speaker, take) in enumerate((who, take) for who in people()[:12] for take in range(10)):
        rng = np.random.default_rng([SEED, task, index, 0])
        said = sentence(LANGUAGES["mavo"], rng, int(rng.integers(5, 8)))
        yield Clip(speaker.name, speaker, said, ("neutral", "lively")[take % 2], [SEED, task, index, 1])


def _languages(task: int) -> Iterator[Clip]:
    for index, (number, _) in enumerate((number, take) for number in range(NUM_SPEAKERS) for take in range(6)):
        rng = np.random.default_rng([SEED, task, index, 0])
        name = [*LANGUAGES][number // 2 % len(LANGUAGES)]  # of each gender as many
        said = sentence(LANGUAGES[name], rng, round(rng.uniform(*LANGUAGES[name].syllables)))
        yield Clip(name, people()[number], said, "neutral", [SEED, task, index, 1])


def _commands(task: int) -> Iterator[Clip]:
    for index, (speaker, word) in enumerate((who, word) for who in people() for word in WORDS):
        rng = np.random.default_rng([SEED, task, index, 0])
        first, second = WORDS[word]
        melody = rng.normal(0, 1.5, 4)
        said = [
            Syllable(first, (melody[0] + 1, melody[1] + 1), float(rng.uniform(0.9, 1.3)), 1.0),
            Syllable(second, (melody[2], melody[3] - 2), float(rng.uniform(1.1, 1.6)), float(rng.uniform(0.7, 1.0))),
        ]
        # Said in the midst of something else.
        said = [*sentence(LANGUAGES["mavo"], rng, 1), *said, *sentence(LANGUAGES["mavo"], rng, 1)]
        yield Clip(word, speaker, said, "neutral", [SEED, task, index, 1])


def _styles(task: int) -> Iterator[Clip]:
    for index, (speaker, style) in enumerate((who, style) for who in people() for style in STYLES):
        rng = np.random.default_rng([SEED, task, index, 0])
        yield Clip(
            style, speaker, sentence(LANGUAGES["mavo"], rng, int(rng.integers(5, 8))), style, [SEED, task, index, 1]
        )


# Name -> what is asked, the split of its task.json, its clips. The place is part of the seed: add at the end.
CORPORA: dict[str, tuple[str, str, Callable[[int], Iterator[Clip]]]] = {
    "demo_speaker": ("which of 12 invented voices", "clip", _speakers),
    "demo_language": ("which of three invented languages", "speaker", _languages),
    "demo_command": ("which of six invented words, in pairs that differ in order alone", "speaker", _commands),
    "demo_style": ("neutral, whispered, lively, low or shouted", "speaker", _styles),
}


def synthesise(clip: Clip) -> np.ndarray:
    """A clip as it was recorded: `(num_samples,)` float32 at 16 kHz. Style, take and microphone vary."""
    rng = np.random.default_rng([*clip.seed, 0])
    voice, span = styled(clip.speaker.voice, STYLES[clip.style], clip.speaker.expression * rng.uniform(0.7, 1.2))
    voice = dataclasses.replace(
        voice,
        f0=voice.f0 * 2 ** (rng.normal(0, 0.7) / 12),
        speed=voice.speed * rng.normal(1, 0.05),
        dullness=voice.dullness * rng.uniform(0.85, 1.2),
        level=min(-10.0, voice.level - 3 + rng.normal(0, 5.0)),
    )
    said = [dataclasses.replace(each, pitch=(each.pitch[0] * span, each.pitch[1] * span)) for each in clip.syllables]
    before, after = rng.integers(synthesis.RATE // 20, synthesis.RATE // 6, 2)
    speech = np.pad(synthesis.speak(said, voice, clip.seed), (before, after))
    return synthesis.record(speech, rng, noise_db=rng.uniform(-36, -20))


def styled(voice: Voice, style: Style, degree: float) -> tuple[Voice, float]:
    """A voice in a style, to some degree, and the span of its melody; a whisper is one or is none.

    >>> styled(Voice(f0=100.0), STYLES["shouted"], 1.0)[0].f0 > 130
    True
    """
    changed: dict[str, Any] = {"f0": voice.f0 * 2 ** (style.pitch * degree / 12)}
    for field, amount in style.change:
        old = getattr(voice, field)
        changed[field] = old + amount * degree if field in ADDED else old * amount ** (degree if amount else 1)
    return dataclasses.replace(voice, **changed), style.span**degree
