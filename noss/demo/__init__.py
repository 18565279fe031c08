"""A small suite that needs no download: synthetic speech of invented people, languages and words.

It shows how a run goes and what a report says, in minutes on two cores. All of it is SYNTHETIC: that a representation
is good here does not say that it is good on people.
"""

import csv
import io
import json
from pathlib import Path

from noss.demo.baselines import log_mel, loudness, mfcc, untrained
from noss.demo.clips import CORPORA, Clip, synthesise
from noss.demo.synthesis import RATE
from noss.tasks.manifest import pack_tasks
from noss.tasks.task import Task
from noss.wav import write_wav
from trill.files import write_atomically
from trill.progress import progress

__all__ = ["DEMO_REPRESENTATIONS", "demo_tasks", "log_mel", "loudness", "mfcc", "untrained"]

VERSION = "1"  # of the sounds: raise it when they change

# What `noss run --suite demo` judges: our model, its last layer before pooling, and what anybody could do.
DEMO_REPRESENTATIONS = (
    "mobilenet",
    "mobilenet@final",
    "noss.demo:untrained",
    "noss.demo:log_mel",
    "noss.demo:mfcc",
    "noss.demo:loudness",
)


def demo_tasks(folder: str | Path, *, quiet: bool = False) -> dict[str, Task]:
    """The tasks of the demo suite; their clips are made where they are missing.

    Args:
        folder: the clips go into a folder of it with the version of the suite, 20 MB of WAV.
        quiet: no progress bar.

    Returns:
        Tasks by name, as `noss.tasks.pack_tasks` of that folder.

    Raises:
        OSError: if the folder takes no files.
    """
    folder = Path(folder) / f"synthetic-{VERSION}"
    wanted = {name: list(clips(number + 1)) for number, (name, (*_, clips)) in enumerate(CORPORA.items())}
    missing = [
        (path, clip)
        for name, some in wanted.items()
        for path, clip in ((folder / name / _file(index), clip) for index, clip in enumerate(some))
        if not path.exists()
    ]
    for name in wanted:
        (folder / name / "clips").mkdir(parents=True, exist_ok=True)
    with progress(missing, unit="clips synthesised", quiet=quiet) as bar:
        for path, clip in bar:
            write_wav(path, synthesise(clip), RATE)
    for name, some in wanted.items():
        about, split, _ = CORPORA[name]
        _write_text(folder / name / "manifest.csv", _manifest(some))
        _write_text(folder / name / "task.json", _about(name, about, split, some))
    return pack_tasks(folder)


def _file(index: int) -> str:
    return f"clips/{index:03d}.wav"


def _manifest(clips: list[Clip]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", "label", "speaker", "gender", "style", "text"])
    for index, clip in enumerate(clips):
        said = " ".join(syllable.phones for syllable in clip.syllables)
        rows.writerow([_file(index), clip.label, clip.speaker.name, clip.speaker.gender, clip.style, said])
    return text.getvalue()


def _about(name: str, about: str, split: str, clips: list[Clip]) -> str:
    facts = {
        "name": name,
        "label": f"SYNTHETIC: {about}",
        "citation": f"SYNTHETIC demo speech, version {VERSION}: {about}",
        "synthetic": True,
        "split": split,
        "metric": "uar",
        "licence": "Apache-2.0",
        "source": "noss.demo",
        "classes": sorted({clip.label for clip in clips}),
    }
    return json.dumps(facts, indent=1) + "\n"


def _write_text(path: Path, text: str) -> None:
    """Unless it is there already."""
    if not (path.exists() and path.read_text(encoding="utf-8") == text):
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
