"""Enrol three speakers, recognise them, turn a fourth away, forget one, and still know the others after a restart.

    python examples/recognise_speakers.py ../shared/speech/dev/speaker_en_l2 [SPEAKER SPEAKER SPEAKER STRANGER]

The folder holds a manifest.csv with columns path and speaker; four of its speakers with four clips or more are taken,
spread evenly, unless others are named. Three clips of each are learnt, the rest are asked. The base install is enough.
"""

import csv
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import trill

CLIPS_TO_LEARN = 3
RESTARTED = "--restarted"
UNKNOWN = "unknown"


def main(folder: str, *names: str) -> None:
    clips = clips_of(Path(folder))
    enough = [name for name, paths in clips.items() if len(paths) > CLIPS_TO_LEARN]
    names = names or tuple(enough[:: max(1, len(enough) // 4)][:4])
    if len(names) != 4:
        sys.exit(f"Three speakers and a stranger are needed, each with {CLIPS_TO_LEARN + 1} clips: got {len(names)}.")
    *known, stranger = names
    asked = {name: clips[name][CLIPS_TO_LEARN:] for name in known}

    head = trill.PersonalHead()
    for name in known:
        head.add(name, clips[name][:CLIPS_TO_LEARN])
        print(f"Enrolled {name}: {CLIPS_TO_LEARN} clips")

    print("\nWho is this?")
    right = count(head, asked)
    print("\nAnd somebody who was not enrolled?")
    rejected = count(head, {stranger: clips[stranger]}, expected=UNKNOWN)
    print(f"\nRecognised {right[0]} of {right[1]}; turned the stranger away {rejected[0]} of {rejected[1]} times.")
    others = [paths[0] for name, paths in clips.items() if name not in names]
    away = sum(head.predict(path).label == UNKNOWN for path in others)
    print(f"One stranger is luck: of {len(others)} others, a clip of each, {away} are turned away.")

    gone = known[-1]
    number = head.forget(gone)
    print(f"\nForgot {gone}: {number} clips. And now?")
    forgotten = count(head, {gone: asked[gone]}, expected=UNKNOWN)
    print(f"\nNo longer known {forgotten[0]} of {forgotten[1]} times.")

    with tempfile.TemporaryDirectory() as home:
        head.save(home)
        paths = [path for name in known for path in asked[name]]
        command = [sys.executable, __file__, RESTARTED, home, *paths]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        said = json.loads(done.stdout)
    same = [label for label, path in zip(said, paths, strict=True) if label == head.predict(path).label]
    print(f"\nSaved, and loaded by another process: {len(same)} of {len(paths)} answers are the same.")


def clips_of(folder: Path) -> dict[str, list[str]]:
    """Paths of each speaker's clips, in the manifest's order."""
    clips = defaultdict(list)
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as manifest:
        for row in csv.DictReader(manifest):
            clips[row["speaker"]].append(str(folder / row["path"]))
    return clips


def count(head: trill.PersonalHead, clips: dict[str, list[str]], expected: str | None = None) -> tuple[int, int]:
    """Ask for each clip, print the answers, and count those that are the speaker, or what else is expected."""
    right = asked = 0
    for speaker, paths in clips.items():
        for path in paths:
            answer = head.predict(path)
            good = answer.label == (expected or speaker)
            print(
                f"  {speaker:16s} {'is' if good else 'WRONG:'} {answer.label} ({answer.score:.2f})  {Path(path).name}"
            )
            right, asked = right + good, asked + 1
    return right, asked


def restarted(folder: str, *paths: str) -> None:
    """What another process says: a label a path, as JSON."""
    head = trill.PersonalHead.load(folder)
    print(json.dumps([head.predict(path).label for path in paths]))


if __name__ == "__main__":
    restarted(*sys.argv[2:]) if sys.argv[1] == RESTARTED else main(*sys.argv[1:])
