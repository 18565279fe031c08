"""Synthesise unlabelled speech in some hundred languages with eSpeak NG, for students to hear beside recordings.

Development dependencies: `apt-get install espeak-ng`, `pip install babel`. What is said is a row of names of languages,
countries and months in the language itself, from CLDR (Unicode licence); voice, rate, pitch and its range are drawn.

    python scripts/make_synthetic.py synthetic/ --clips 3000
"""

import argparse
import csv
import io
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import babel
import numpy as np
import soundfile
import soxr

RATE, MAX_SECONDS = 16_000, 10
COLUMNS = ("path", "language", "speaker", "source", "licence")
WORDS, RATES, PITCHES, RANGES = (3, 9), (90, 260), (5, 96), (5, 100)  # from, to before
ENDINGS = (".", "!", "?")


def voices(kind: str = "") -> list[str]:
    """Languages by their tag, or variants by their name, that the installed eSpeak NG knows."""
    listed = subprocess.run(["espeak-ng", f"--voices{kind}"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()[1:]]
    return sorted({re.sub(r".*/", "", row[4]) if kind else row[1] for row in rows if "mb/" not in row[4]})


def names(language: str) -> list[str]:
    """What CLDR calls languages, countries and months in a language; empty where it does not know it."""
    try:
        locale = babel.Locale.parse(language, sep="-")
    except (babel.UnknownLocaleError, ValueError):
        return []
    tables = (locale.languages, locale.territories, locale.months["stand-alone"]["wide"])
    return sorted({str(name) for table in tables for name in table.values() if not str(name).isdecimal()})


def say(text: str, voice: str, rate: int, pitch: int, span: int) -> np.ndarray:
    """`(num_samples,)` float32 at `RATE`."""
    ssml = f'<prosody pitch="{pitch}" range="{span}">{text}</prosody>'
    command = ["espeak-ng", "-v", voice, "-s", str(rate), "-m", "--stdout", ssml]
    sound = subprocess.run(command, check=True, capture_output=True).stdout
    waveform, found = soundfile.read(io.BytesIO(sound), dtype="float32")
    return np.asarray(soxr.resample(waveform, found, RATE)[: MAX_SECONDS * RATE], np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    (asked.folder / "audio").mkdir(parents=True, exist_ok=True)
    spoken = {language: found for language in voices() if len(found := names(language)) > 100}
    languages, variants = list(spoken), voices("=variant")

    def make(index: int) -> dict[str, str]:
        rng = np.random.default_rng([asked.seed, index])
        language, variant = languages[index % len(languages)], str(rng.choice(variants))
        words = rng.choice(spoken[language], rng.integers(*WORDS))
        text = ", ".join(words).replace("&", " ").replace("<", " ") + str(rng.choice(ENDINGS))
        rate, pitch, span = (int(rng.integers(*limits)) for limits in (RATES, PITCHES, RANGES))
        path = f"audio/{index:05d}.flac"
        waveform = say(text, f"{language}+{variant}", rate, pitch, span)
        soundfile.write(asked.folder / path, waveform, RATE, subtype="PCM_16")
        return dict(zip(COLUMNS, (path, language, variant, "espeak-ng", "synthetic"), strict=True))

    with ThreadPoolExecutor() as pool, (asked.folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(pool.map(make, range(asked.clips)))
    print(f"{asked.clips:,} clips in {len(languages)} languages and {len(variants)} voices: {asked.folder}")


if __name__ == "__main__":
    main()
