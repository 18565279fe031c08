"""What the benchmark counts is what the networks have; what it times is printed whole."""

import json

from click.testing import CliRunner

from export.benchmark import HEADER, measure, multiply_adds, table
from export.cli import main
from trill import modelfile
from trill.networks import counting


def test_multiply_adds_of_the_file_are_those_of_the_network(tiny):
    encoder = counting.multiply_adds(tiny.network.get_layer(tiny.config.architecture))
    counted = multiply_adds(modelfile.read(tiny.tflite)[0])
    # The front end: 96 frames of 16 x 25 x 32, 16 x 32 x 32 and 256 x 64.
    assert counted == encoder + 96 * (16 * 25 * 32 + 16 * 32 * 32 + 256 * 64)


def test_a_row_a_file(tiny, monkeypatch):
    monkeypatch.setattr("export.benchmark.ROUNDS", 1)
    monkeypatch.setattr("export.benchmark.CALLS", 1)
    (row,) = measure([tiny.tflite])
    assert row.megabytes == tiny.tflite.stat().st_size / 1e6
    assert min(row.ms, row.ms_two, row.first_ms, row.peak_megabytes, row.share) > 0
    lines = table([row]).splitlines()
    assert [line.count("|") for line in lines] == [len(HEADER) + 1] * 3
    printed = CliRunner().invoke(main, ["bench", "--json", str(tiny.tflite)])
    assert json.loads(printed.stdout)[0]["name"] == row.name


def test_a_missing_file():
    printed = CliRunner().invoke(main, ["bench", "none.tflite"])
    assert printed.exit_code == 2
    assert "none.tflite is not there" in printed.stderr
