"""Progress on a terminal: rate and time left."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    items: Iterable[Any], *, total: int | None = None, done: int = 0, unit: str = "it", quiet: bool = False
) -> Any:
    """Iterate with a bar on standard error; nothing is drawn where that is no terminal.

    Args:
        items: what to go through.
        total: how many there are, with those done before.
        done: how many were done before, by a run that this one resumes.
        unit: what they are, in the plural.
        quiet: draw nothing.

    Returns:
        An iterable and a context manager: leaving it ends the bar's line.

    >>> with progress([1, 2], quiet=True) as bar:
    ...     list(bar)
    [1, 2]
    """
    return tqdm(items, total=total, initial=done, unit=f" {unit}", disable=True if quiet else None, dynamic_ncols=True)
