"""Doing many things at once, in order, without running ahead."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """`map(function, items)` in threads: results in order, items taken only a little ahead of them.

    Interpreters, decoders and resamplers release the interpreter lock, so threads do for files and windows. One item,
    or one thread, is computed in the caller's. A list of many items is handed over a few at a time: each handing over
    costs a wait for the lock.

    >>> list(map_in_threads(abs, [-1, 2, -3], threads=2))
    [1, 2, 3]
    """
    count = len(items) if isinstance(items, Sized) else 0
    chunk = max(1, min(8, count // (8 * threads)))
    items = iter(items)
    first = list(itertools.islice(items, 2))
    items = itertools.chain(first, items)
    if threads == 1 or len(first) < 2:
        yield from map(function, items)
        return
    # A pool a call (0.1 ms) keeps no threads that a fork would lose.
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[list[Result]]] = deque()
        try:
            while some := list(itertools.islice(items, chunk)):
                pending.append(pool.submit(lambda some: [function(item) for item in some], some))
                if len(pending) > 2 * threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
