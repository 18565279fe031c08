"""Synthesise the bundled example clips with eSpeak NG (a development dependency: `apt-get install espeak-ng`).

python scripts/make_clips.py trill/clips
"""

import argparse
import io
import subprocess
from pathlib import Path

import soundfile
import soxr

# Speaker -> eSpeak voice; style -> (words a minute, pitch, pitch range).
VOICES = {"anna": "en-us+f3", "ben": "en-gb+m3", "chloe": "fr-fr+f2", "dieter": "de+m5"}
STYLES = {"calm": ("140", "40,20"), "excited": ("190", "70,90")}
TEXTS = {
    ("anna", "calm"): "The kettle is on, and the rain has nearly stopped.",
    ("anna", "excited"): "Look, the children have built a bridge out of chairs!",
    ("ben", "calm"): "I left the keys on the table beside the door.",
    ("ben", "excited"): "You would not believe how far that ball just went!",
    ("chloe", "calm"): "Le train de Lyon arrive dans une petite heure.",
    ("chloe", "excited"): "Regarde, il neige, nous pouvons sortir la luge !",
    ("dieter", "calm"): "Am Abend gehen wir noch einmal um den See.",
    ("dieter", "excited"): "Das ist ja unglaublich, wir haben wirklich gewonnen!",
}
RATE = 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for (speaker, style), text in TEXTS.items():
        speed, pitch = STYLES[style]
        ssml = f'<prosody pitch="{pitch.split(",")[0]}" range="{pitch.split(",")[1]}">{text}</prosody>'
        command = ["espeak-ng", "-v", VOICES[speaker], "-s", speed, "-m", "--stdout", ssml]
        sound = subprocess.run(command, check=True, capture_output=True).stdout
        waveform, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
        soundfile.write(folder / f"{speaker}_{style}.flac", soxr.resample(waveform, rate, RATE), RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
