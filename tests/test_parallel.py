"""In order, a little ahead and no further, and what fails is told."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trill.parallel import map_in_threads


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(), max_size=20), threads=st.integers(1, 4))
def test_it_is_map(items, threads):
    assert list(map_in_threads(lambda item: item + 1, items, threads)) == [item + 1 for item in items]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_it_does_not_run_ahead(threads):
    """Endless items cost no endless memory."""
    items = itertools.count()
    results = map_in_threads(lambda item: item, items, threads)
    assert list(itertools.islice(results, 100)) == list(range(100))
    assert next(items) <= 100 + 2 * threads + 2
    results.close()


def test_as_many_at_once_as_threads():
    meeting = threading.Barrier(3, timeout=20)  # broken unless three calls are under way together
    assert len(list(map_in_threads(lambda _: meeting.wait(), range(6), threads=3))) == 6


@pytest.mark.parametrize(("items", "threads"), [([1], 4), ([1, 2, 3], 1)])
def test_what_gains_nothing_is_done_in_the_callers_thread(items, threads):
    found = map_in_threads(lambda _: threading.current_thread(), items, threads)
    assert set(found) == {threading.current_thread()}


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_where_its_result_would(threads):
    results = map_in_threads(lambda item: 1 // (item - 3), range(10), threads)
    assert [next(results) for _ in range(3)] == [1 // -3, 1 // -2, 1 // -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_the_items_is_told(threads):
    def items():
        yield 1
        yield 2
        yield 3
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(map_in_threads(str, items(), threads))


@pytest.mark.parametrize("threads", [1, 3])
def test_no_thread_outlives_the_call(threads):
    before = threading.active_count()
    results = map_in_threads(str, range(100), threads)
    next(results)
    results.close()
    assert threading.active_count() == before
