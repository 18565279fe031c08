"""The same bits whatever the threads, the neighbours and the interpreter."""

import importlib
import re
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.sounds import noise
from trill import runtime
from trill.errors import MissingPackageError
from trill.runtime import TFLiteModel

TAPS = ("embedding", "final", "block5")


@pytest.fixture(scope="module")
def model(tiny):
    return TFLiteModel(tiny.tflite, threads=1)


def windows(count=6, length=15_600):
    return noise((count, length), level=0.3).astype(np.float32)


def by_interpreter(path, window, tap, interpreter):
    """What the file computes for one window, asked by name of its outputs."""
    made = interpreter(model_path=str(path), num_threads=1)
    return made.get_signature_runner()(waveform=window[None])[tap].ravel()


@pytest.mark.parametrize("tap", TAPS)
def test_taps_are_the_interpreters(tiny, model, tap):
    interpreter = importlib.import_module(runtime.INTERPRETERS[0]).Interpreter
    rows = model.run(windows(2), tap)
    assert rows.dtype == np.float32
    for row, window in zip(rows, windows(2), strict=True):
        np.testing.assert_array_equal(row, by_interpreter(tiny.tflite, window, tap, interpreter))


@pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")
def test_tensorflows_interpreter_serves_as_well(tiny, model, monkeypatch):
    monkeypatch.setattr(runtime, "INTERPRETERS", runtime.INTERPRETERS[-1:])
    assert runtime.interpreter_class().__module__.startswith("tensorflow.")
    rows = TFLiteModel(tiny.tflite, threads=1).run(windows(2), "embedding")
    np.testing.assert_allclose(rows, model.run(windows(2), "embedding"), rtol=1e-5, atol=1e-6)


def test_neighbours_change_nothing(model):
    together = model.run(windows(), "embedding")
    for index, window in enumerate(windows()):
        np.testing.assert_array_equal(model.run(window[None], "embedding")[0], together[index])
    np.testing.assert_array_equal(model.run(windows()[::-1], "embedding"), together[::-1])
    np.testing.assert_array_equal(model.run(windows(), "embedding"), together)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_calls_from_many_threads_change_nothing(tiny, model, threads):
    expected = model.run(windows(), "embedding")
    shared = TFLiteModel(tiny.tflite, threads)
    with ThreadPoolExecutor(6) as pool:
        for rows in pool.map(lambda _: shared.run(windows(), "embedding"), range(12)):
            np.testing.assert_array_equal(rows, expected)


def test_interpreters_are_made_once(tiny, monkeypatch):
    made, interpreter = [], runtime.interpreter_class()
    monkeypatch.setattr(
        runtime, "interpreter_class", lambda: lambda **options: made.append(1) or interpreter(**options)
    )
    model = TFLiteModel(tiny.tflite, threads=3)
    for _ in range(5):
        model.run(windows(1), "embedding")
    assert len(made) == 1


def test_no_windows(model):
    assert model.run(np.empty((0, 15_600), np.float32), "embedding").shape == (0, 51)


def test_a_failed_call_gives_its_interpreter_back(model):
    for _ in range(3):
        with pytest.raises(ValueError, match="Dimension mismatch"):
            model.run(windows(1, length=100), "embedding")
    assert model.run(windows(1), "embedding").shape == (1, 51)


def test_threads_default_to_the_cores_but_four_at_most(tiny, monkeypatch):
    monkeypatch.setattr(runtime.os, "sched_getaffinity", lambda _: set(range(3)), raising=False)
    assert TFLiteModel(tiny.tflite).threads == 3
    monkeypatch.setattr(runtime.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert runtime.default_threads() == 4
    monkeypatch.delattr(runtime.os, "sched_getaffinity")
    monkeypatch.setattr(runtime.os, "cpu_count", lambda: None)
    assert runtime.default_threads() == 1


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_must_be_positive(tiny, threads):
    with pytest.raises(ValueError, match=f"threads must be positive, got {threads}. None uses the cores"):
        TFLiteModel(tiny.tflite, threads)


@pytest.mark.parametrize("installed", [(0, 1, 2), (1, 2), (2,), (0, 2)])
def test_the_best_interpreter_installed_is_taken(monkeypatch, installed):
    for index, name in enumerate(runtime.INTERPRETERS):
        fake = types.SimpleNamespace(Interpreter=name) if index in installed else None  # None: import fails
        monkeypatch.setitem(sys.modules, name, fake)
    assert runtime.interpreter_class() == runtime.INTERPRETERS[installed[0]]


def test_no_interpreter(tiny, monkeypatch):
    for name in runtime.INTERPRETERS:
        monkeypatch.setitem(sys.modules, name, None)
    names = re.escape(", ".join(runtime.INTERPRETERS))
    with pytest.raises(MissingPackageError, match=f"none of {names} is installed. .*: pip install ai-edge-litert$"):
        TFLiteModel(tiny.tflite)
