"""benchmarks/enrolment.py on the bundled voices."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.test_recognise_speakers import write_pack

BENCHMARK = Path(__file__).parents[1] / "benchmarks/enrolment.py"


@pytest.fixture
def benchmark(monkeypatch):
    found = runpy.run_path(str(BENCHMARK))
    monkeypatch.setitem(found["main"].__globals__, "LABELS", (2, 3))
    monkeypatch.setitem(found["main"].__globals__, "CLIPS", (1, 3))
    return found


def test_the_table_has_a_row_a_case(benchmark, tmp_path, capsys):
    write_pack(tmp_path)
    benchmark["main"]([str(tmp_path), "--draws", "3"])
    said = capsys.readouterr().out
    rows = [list(map(float, re.findall(r"[\d.]+", line))) for line in said.splitlines() if re.match(r"\| \d", line)]
    assert [row[:2] for row in rows] == [[2, 1], [2, 3], [3, 1], [3, 3]]
    assert all(0 <= share <= 100 for row in rows for share in row[2::2])
    assert np.mean([row[2] for row in rows]) > 50  # the voices are told apart
    assert re.findall(r"equal error rate, (\d) clips: no cohort ([\d.]+) %", said)


def test_a_cohort_is_of_others(benchmark, tmp_path):
    write_pack(tmp_path)
    with pytest.raises(SystemExit, match="a cohort is of other speakers, 4 are in the pack, too, as anna"):
        benchmark["main"]([str(tmp_path), "--draws", "2", "--cohort", str(tmp_path / "manifest.csv")])


def test_all_wrong_is_all_wrong(benchmark, monkeypatch):
    """Shares are of the clips that were not learnt, whoever they are said to be."""
    vectors = {name: np.eye(4, 2048, dtype=np.float32) for name in "abc"}

    class Nobody:
        def __init__(self, model):
            self.learnt = {}

        def add_embeddings(self, label, rows):
            self.learnt[label] = rows

        def forget(self, label):
            del self.learnt[label]

        def predict_embedding(self, row):
            known = [label for label in self.learnt if label == "a"]
            return type("Prediction", (), {"label": known[0] if known else "unknown"})

    monkeypatch.setattr("trill.PersonalHead", Nobody)
    rows = benchmark["open_set"](vectors, 2, 3, 20, "mobilenet")
    # "a" is always said, unless it was not enrolled: then all are unknown.
    assert {tuple(row) for row in rows} <= {(0.5, 0.0, 0.0), (0.5, 0.0, 1.0), (0.0, 1.0, 1.0)}
