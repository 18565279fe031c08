"""How large, how fast, how hungry a model file is."""

import dataclasses
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from export.flatbuffer import operators, unpack
from trill import modelfile
from trill.runtime import interpreter_class

ROUNDS, CALLS = 7, 20
SIZE = 1024  # of the matrix product that says what the machine can do
# What a fresh process does until its first embedding; it prints milliseconds after its imports, and peak kilobytes.
FIRST = """
import sys, time, numpy as np
from trill import modelfile
from trill.runtime import interpreter_class
flatbuffer, card = modelfile.read(sys.argv[1])
make = interpreter_class()
began = time.perf_counter()
interpreter = make(model_content=flatbuffer, num_threads=1)
(given,) = interpreter.get_input_details()
shape = (1, card.window_samples) if card.dynamic else given["shape"]
interpreter.resize_tensor_input(given["index"], shape)
interpreter.allocate_tensors()
interpreter.set_tensor(given["index"], np.zeros(shape, given["dtype"]))
interpreter.invoke()
print(1000 * (time.perf_counter() - began))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """One model file on this machine.

    Args:
        name: of the file.
        megabytes: of the file.
        multiply_adds: of a window, front end included, in millions.
        ms: median milliseconds a window, one thread, warm.
        ms_spread: from the fastest to the slowest round.
        ms_two: median with two threads.
        first_ms: from the file's bytes to the first embedding in a fresh process.
        peak_megabytes: of that process.
        share: of the machine's float32 matrix-product rate on one core, measured in the same rounds.
    """

    name: str
    megabytes: float
    multiply_adds: float
    ms: float
    ms_spread: float
    ms_two: float
    first_ms: float
    peak_megabytes: float
    share: float


HEADER = ("file", "MB", "M multiply-adds", "ms", "± ms", "ms, 2 threads", "first ms", "peak MB", "share of matmul")


def measure(paths: Sequence[str | os.PathLike[str]]) -> list[Row]:
    """Measure model files in turn, round by round, so that a busy moment hits all of them.

    Raises:
        ModelError: if a file is no model file.
    """
    matrix = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32)
    runs: list[Callable[[], Any]] = [lambda: matrix @ matrix]
    for path in paths:
        runs += [_invoke(path, threads) for threads in (1, 2)]
    with threadpool_limits(1):
        times = np.array([[_milliseconds(run) for run in runs] for _ in range(ROUNDS)])
    product, ones, twos = times[:, 0], times[:, 1::2], times[:, 2::2]
    rate = SIZE**3 / np.median(product)  # multiply-adds a millisecond
    rows = []
    for index, path in enumerate(paths):
        first, peak = _first(path)
        count, ms = multiply_adds(modelfile.read(path)[0]), float(np.median(ones[:, index]))
        rows.append(
            Row(
                name=Path(path).stem,
                megabytes=os.path.getsize(path) / 1e6,
                multiply_adds=count / 1e6,
                ms=ms,
                ms_spread=float(np.ptp(ones[:, index])) / 2,
                ms_two=float(np.median(twos[:, index])),
                first_ms=first,
                peak_megabytes=peak,
                share=count / ms / rate,
            )
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    lines = [f"| {' | '.join(HEADER)} |", "|---|" + "---:|" * (len(HEADER) - 1)]
    for row in rows:
        name, *values = dataclasses.astuple(row)
        lines.append(f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} |")
    return "\n".join(lines)


def multiply_adds(flatbuffer: bytes) -> int:
    """Multiply-adds of the first subgraph's convolutions and matrix products; an FFT counts as five halves N log2 N."""
    model = unpack(flatbuffer)
    names, graph = operators(model), model.subgraphs[0]
    total = 0
    for operator in graph.operators:
        shapes = [tuple(map(int, graph.tensors[i].shape)) if i >= 0 else () for i in operator.inputs]
        output = tuple(map(int, graph.tensors[operator.outputs[0]].shape))
        total += _COUNTS.get(names[operator.opcodeIndex], lambda *_: 0)(shapes, output)
    return total


# Operator -> multiply-adds from the shapes of its inputs and its output.
_COUNTS: dict[str, Callable[[list[tuple[int, ...]], tuple[int, ...]], int]] = {
    "CONV_2D": lambda inputs, output: math.prod(output) * math.prod(inputs[1][1:]),
    "DEPTHWISE_CONV_2D": lambda inputs, output: math.prod(output) * math.prod(inputs[1][1:3]),
    "FULLY_CONNECTED": lambda inputs, output: math.prod(inputs[0]) * inputs[1][0],
    "BATCH_MATMUL": lambda inputs, output: math.prod(output) * inputs[0][-1],
    "RFFT2D": lambda _, output: int(math.prod(output) * 5 * math.log2(2 * output[-1] - 2) / 2),
}


def _invoke(path: str | os.PathLike[str], threads: int) -> Callable[[], Any]:
    flatbuffer, card = modelfile.read(path)
    interpreter = interpreter_class()(model_content=flatbuffer, num_threads=threads)
    (given,) = interpreter.get_input_details()
    shape = (1, card.window_samples) if card.dynamic else tuple(given["shape"])
    interpreter.resize_tensor_input(given["index"], shape)
    interpreter.allocate_tensors()
    noise = np.random.default_rng(0).standard_normal(shape)
    interpreter.set_tensor(given["index"], (0.1 * noise).astype(given["dtype"]))
    return interpreter.invoke


def _milliseconds(run: Callable[[], Any]) -> float:
    run()
    began = time.perf_counter()
    for _ in range(CALLS):
        run()
    return 1000 * (time.perf_counter() - began) / CALLS


def _first(path: str | os.PathLike[str]) -> tuple[float, float]:
    """Milliseconds to the first embedding and peak megabytes, in a fresh process (Linux)."""
    done = subprocess.run(  # noqa: S603 (our own interpreter and text)
        [sys.executable, "-c", FIRST, os.fspath(path)], check=True, capture_output=True, text=True
    )
    milliseconds, kilobytes = done.stdout.split()
    return float(milliseconds), int(kilobytes) / 1024
