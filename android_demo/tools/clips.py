"""The bundled clips as 16-bit mono samples at 16 kHz, little-endian, for tests in Java: clips.py FOLDER."""

import sys
from pathlib import Path

import numpy as np

import trill
from trill import audio

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name in ("anna_calm", "ben_calm"):
    samples = audio.read(trill.example(name), target_rate=16_000)
    (folder / f"{name}.pcm").write_bytes(np.round(samples * 32767).astype("<i2").tobytes())
