"""Progress on a terminal: rate and time left."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], *, total: int | None = None, unit: str = "it", quiet: bool = False) -> Iterable[Item]:
    """Iterate with a bar on standard error; nothing is drawn where that is no terminal.

    >>> list(progress([1, 2], quiet=True))
    [1, 2]
    """
    shown: Iterable[Item] = tqdm(items, total=total, unit=unit, disable=True if quiet else None, dynamic_ncols=True)
    return shown
