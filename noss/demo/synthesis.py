"""A small formant synthesiser: speech whose speaker, words and manner are known because they were chosen.

A glottal source (Klatt and Klatt 1990, doi:10.1121/1.398894: a cubic pulse of flow, with jitter, shimmer and breath)
passes a cascade of five resonators that glide from sound to sound; friction is noise of its own band beside them (Klatt
1980, doi:10.1121/1.383940). It sounds like a robot of the eighties, and is meant for demonstrations and tests: scores
on it say nothing about scores on people.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trill.errors import optional

ndimage = optional("scipy.ndimage", "noss")
signal = optional("scipy.signal", "noss")

RATE = 16_000
STEP = 80  # samples between two settings of the filters: 5 ms
OVERSAMPLED = 3  # the source's corners would alias
GLIDE = 0.022  # seconds: formants move, standard deviation of the smoothing
ONSET = 0.006  # seconds: voice and noise come and go
HIGH = (3_500.0, 4_500.0)  # F4 and F5 of a neutral tract of 17 cm, Hz
BANDWIDTHS = (70.0, 90.0, 150.0, 250.0, 350.0)


@dataclass(frozen=True)
class Sound:
    """A stretch of speech whose setting stands still.

    Args:
        seconds: how long, at ordinary speed.
        formants: F1 to F3 of a man, Hz; none: those of what follows.
        voice: amplitude of the voice.
        breath: of noise through the formants.
        hiss: of noise beside them.
        band: low and high edge of that, Hz.
    """

    seconds: float
    formants: tuple[float, float, float] | None
    voice: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    band: tuple[float, float] = (0.0, 0.0)


def _stop(formants: tuple[float, float, float], band: tuple[float, float], voiced: bool) -> tuple[Sound, ...]:
    closure = Sound(0.055, formants, voice=0.08 if voiced else 0.0)
    burst = Sound(0.012, formants, hiss=0.25, band=band)
    return (closure, burst) if voiced else (closure, burst, Sound(0.035, None, breath=0.5))


def _fricative(formants: tuple[float, float, float], band: tuple[float, float], hiss: float) -> tuple[Sound, ...]:
    return (Sound(0.100, formants, hiss=hiss, band=band),)


# Vowels: averages of men, Peterson and Barney 1952, Table II. Consonants: formants after Klatt 1980, Table III.
PHONES: dict[str, tuple[Sound, ...]] = {
    **{
        name: (Sound(0.120, formants, voice=1.0),)
        for name, formants in {
            "i": (270.0, 2290.0, 3010.0),
            "I": (390.0, 1990.0, 2550.0),
            "E": (530.0, 1840.0, 2480.0),
            "A": (660.0, 1720.0, 2410.0),
            "a": (730.0, 1090.0, 2440.0),
            "o": (570.0, 840.0, 2410.0),
            "U": (440.0, 1020.0, 2240.0),
            "u": (300.0, 870.0, 2240.0),
            "V": (640.0, 1190.0, 2390.0),
            "R": (490.0, 1350.0, 1690.0),
        }.items()
    },
    **{
        name: (Sound(0.065, formants, voice=voice),)
        for name, formants, voice in (
            ("m", (480.0, 1270.0, 2130.0), 0.35),
            ("n", (480.0, 1340.0, 2470.0), 0.35),
            ("l", (310.0, 1050.0, 2880.0), 0.5),
            ("r", (310.0, 1060.0, 1380.0), 0.5),
            ("w", (290.0, 610.0, 2150.0), 0.5),
            ("j", (260.0, 2070.0, 3020.0), 0.5),
        )
    },
    "p": _stop((400.0, 1100.0, 2150.0), (500.0, 1_500.0), voiced=False),
    "t": _stop((400.0, 1600.0, 2600.0), (3_000.0, 6_500.0), voiced=False),
    "k": _stop((300.0, 1990.0, 2850.0), (1_500.0, 3_000.0), voiced=False),
    "b": _stop((200.0, 1100.0, 2150.0), (500.0, 1_500.0), voiced=True),
    "d": _stop((200.0, 1600.0, 2600.0), (3_000.0, 6_500.0), voiced=True),
    "g": _stop((200.0, 1990.0, 2850.0), (1_500.0, 3_000.0), voiced=True),
    "f": _fricative((340.0, 1100.0, 2080.0), (1_500.0, 7_500.0), 0.06),
    "s": _fricative((320.0, 1390.0, 2530.0), (4_500.0, 7_500.0), 0.15),
    "S": _fricative((300.0, 1840.0, 2750.0), (2_200.0, 5_000.0), 0.15),
    "h": (Sound(0.060, None, breath=0.6),),
}


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how at this moment.

    Args:
        f0: mean pitch, Hz.
        tract: formants over those of a man; a tract of 17 cm divided by its length.
        open_quotient: share of a period in which the glottis is open.
        dullness: time constant of a low-pass of the source, in samples at 16 kHz; a soft voice is dull.
        breath: noise in the voice.
        jitter: relative, of periods and, three times that, of their amplitudes.
        speed: over ordinary.
        phonation: 0 for a whisper.
        vowels: how F1 and F2 differ from the tables, relative.
        level: of the clip, dB below full scale.
    """

    f0: float = 120.0
    tract: float = 1.0
    open_quotient: float = 0.6
    dullness: float = 1.5
    breath: float = 0.02
    jitter: float = 0.01
    speed: float = 1.0
    phonation: float = 1.0
    vowels: tuple[float, float] = (1.0, 1.0)
    level: float = -20.0


@dataclass(frozen=True)
class Syllable:
    """What is said in one go.

    Args:
        phones: names in `PHONES`.
        pitch: where it begins and ends, semitones from the voice's mean.
        length: of its vowels, over ordinary.
        stress: amplitude over ordinary.
    """

    phones: str
    pitch: tuple[float, float] = (0.0, 0.0)
    length: float = 1.0
    stress: float = 1.0


def speak(syllables: Sequence[Syllable], voice: Voice, seed: int | Sequence[int] = 0) -> np.ndarray:
    """Speech: `(num_samples,)` float32 at `RATE`, the same for the same arguments.

    Args:
        syllables: what is said.
        voice: by whom and how.
        seed: of noise and jitter.

    Raises:
        ValueError: if there is nothing to say, or a phone is unknown.

    >>> speak([Syllable("ma"), Syllable("ma")], Voice()).shape
    (5920,)
    """
    rng = np.random.default_rng(seed)
    formants, amplitudes, bands, pitch = _tracks(syllables, voice)
    length = len(pitch) * STEP
    samples = np.arange(length) / STEP

    def fine(track: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(samples, np.arange(len(track)) + 0.5, track))

    voiced, breath, hiss = (fine(track) for track in amplitudes.T)
    wave, is_open = _glottis(fine(pitch), voice, rng)
    noise = rng.normal(size=length) * 0.25
    source = voice.phonation * voiced * (wave + 3 * voice.breath * noise * is_open)
    source += (breath + (1 - voice.phonation) * voiced) * noise * 0.5
    found = _tract(source, formants) + _hiss(hiss, bands, rng)
    loudest = np.sqrt(np.mean(found**2) + 1e-12)
    return np.asarray((found / loudest * 10 ** (voice.level / 20)).clip(-1, 1), np.float32)


def _tracks(syllables: Sequence[Syllable], voice: Voice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A row each step: formants (5), amplitudes of voice, breath and hiss (3), band of the hiss (2), pitch in Hz."""
    unknown = sorted({phone for syllable in syllables for phone in syllable.phones} - set(PHONES))
    if unknown or not any(syllable.phones for syllable in syllables):
        raise ValueError(f"what is said must be of {' '.join(PHONES)}, got {' '.join(unknown) or 'nothing'}.")
    rows: list[tuple[Sound, int, float]] = []  # a sound, its steps, its stress
    pitch: list[np.ndarray] = []
    for syllable in syllables:
        began = len(rows)
        for sound in (sound for phone in syllable.phones for sound in PHONES[phone]):
            stretch = (syllable.length if sound.voice == 1 else 1.0) / voice.speed
            rows.append((sound, max(1, round(sound.seconds * stretch * RATE / STEP)), syllable.stress))
        pitch.append(np.linspace(syllable.pitch[0], syllable.pitch[1], sum(count for _, count, _ in rows[began:])))
    targets = [sound.formants for sound, _, _ in rows]
    for index in reversed(range(len(targets))):  # what has none takes those of what follows, or went before
        targets[index] = targets[index] or (targets + targets[index::-1])[index + 1] or (500.0, 1500.0, 2500.0)
    steps = [count for _, count, _ in rows]
    low = np.repeat([target or (0, 0, 0) for target in targets], steps, axis=0) * [*voice.vowels, 1.0]
    formants = voice.tract * np.hstack([low, np.tile(HIGH, (len(low), 1))])
    amplitudes = np.repeat(
        [(sound.voice * stress, sound.breath, sound.hiss * stress) for sound, _, stress in rows], steps, axis=0
    )
    amplitudes[[0, -1]] = 0
    bands = np.repeat([sound.band for sound, _, _ in rows], steps, axis=0)
    semitones = ndimage.gaussian_filter1d(np.concatenate(pitch), _in_steps(0.03))
    return (
        ndimage.gaussian_filter1d(formants, _in_steps(GLIDE), axis=0, mode="nearest"),
        ndimage.gaussian_filter1d(amplitudes, _in_steps(ONSET), axis=0, mode="nearest"),
        bands,
        voice.f0 * 2 ** (semitones / 12),
    )


def _in_steps(seconds: float) -> float:
    return seconds * RATE / STEP


def _glottis(f0: np.ndarray, voice: Voice, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of the flow, and how far the glottis is open: `(num_samples,)` each."""
    fine = np.repeat(f0, OVERSAMPLED)
    cycle = np.cumsum(fine) / (RATE * OVERSAMPLED)
    periods = int(cycle[-1]) + 2
    # A period that is longer moves those after it: the time axis is warped.
    moved = np.cumsum(1 + voice.jitter * rng.normal(size=periods + 1))
    cycle = np.interp(cycle, np.arange(periods + 1), moved)
    number = np.minimum(cycle.astype(int), periods)
    phase = (cycle - np.floor(cycle)) / voice.open_quotient
    pulse = np.where(phase < 1, 2 * phase - 3 * phase**2, 0.0)
    pulse *= (1 + 3 * voice.jitter * rng.normal(size=periods + 1))[number]
    pulse = signal.resample_poly(pulse, 1, OVERSAMPLED)[: len(f0)]
    pole = np.exp(-1 / voice.dullness)
    is_open = np.where(phase[::OVERSAMPLED] < 1, 1.0, 0.3)
    return signal.lfilter([1 - pole], [1, -pole], pulse), is_open


def _tract(source: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """A cascade of resonators whose frequencies change from step to step (Klatt 1980, equations 1 and 2)."""
    c = -np.exp(-2 * np.pi * np.array(BANDWIDTHS) / RATE)
    b = 2 * np.sqrt(-c) * np.cos(2 * np.pi * np.minimum(formants, 0.47 * RATE) / RATE)
    sections = np.zeros((*b.shape, 6))
    sections[..., 0], sections[..., 3], sections[..., 4], sections[..., 5] = 1 - b - c, 1, -b, -c
    state = np.zeros((b.shape[1], 2))
    found = np.empty_like(source)
    for index, section in enumerate(sections):
        part = slice(index * STEP, (index + 1) * STEP)
        found[part], state = signal.sosfilt(section, source[part], zi=state)
    return found


def _hiss(amplitude: np.ndarray, bands: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise in the band of each sound that has one."""
    noise = rng.normal(size=len(amplitude))
    found = np.zeros_like(amplitude)
    for band in np.unique(bands[bands[:, 1] > 0], axis=0):
        mine = (bands == band).all(axis=1).astype(float)
        mine = np.repeat(ndimage.maximum_filter1d(mine, 5), STEP)  # the smoothed amplitude reaches beyond the sound
        found += signal.sosfilt(signal.butter(2, band, "bandpass", fs=RATE, output="sos"), noise) * amplitude * mine
    return found


def record(waveform: np.ndarray, rng: np.random.Generator, noise_db: float = -30.0) -> np.ndarray:
    """What a microphone in a room makes of it: a tilt and a low cut of its own, and noise below the speech.

    Args:
        waveform: `(num_samples,)`.
        rng: draws the microphone.
        noise_db: level of the noise, over that of the speech.
    """
    low = rng.uniform(60, 200)
    found = signal.sosfilt(signal.butter(1, low, "highpass", fs=RATE, output="sos"), waveform)
    found = signal.lfilter([1, rng.uniform(-0.4, 0.2)], [1], found)
    noise = signal.lfilter([1], [1, -rng.uniform(0.3, 0.95)], rng.normal(size=len(found)))
    wanted = np.sqrt(np.mean(found**2)) * 10 ** (noise_db / 20)
    return np.asarray((found + noise * wanted / np.sqrt(np.mean(noise**2))).clip(-1, 1), np.float32)
