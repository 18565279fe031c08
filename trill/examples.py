"""Bundled example clips: synthetic speech of four voices, calm and excited (`scripts/make_clips.py`)."""

from pathlib import Path

CLIPS = Path(__file__).with_name("clips")


def list_examples() -> list[str]:
    """Names that `example` takes.

    >>> len(list_examples())
    8
    """
    return sorted(file.stem for file in CLIPS.glob("*.flac"))


def example(name: str) -> Path:
    """The path of a bundled clip.

    Raises:
        ValueError: if there is no such clip.

    >>> example("anna_calm").name
    'anna_calm.flac'
    """
    if name not in list_examples():
        raise ValueError(f"example must be one of {', '.join(list_examples())}, got {name!r}.")
    return CLIPS / f"{name}.flac"
