"""What a conversion costs a classifier: nothing where the file is the network, all where it knows nothing."""

import numpy as np
import pytest
import soundfile

from export.probe import change_of_recall
from tests.sounds import tone


@pytest.fixture
def manifest(tmp_path):
    for index in range(20):
        soundfile.write(tmp_path / f"{index}.wav", tone(1, level=(0.1, 0.9)[index % 2]), 16_000)
    rows = [f"{index}.wav,{'ab'[index % 2]},{index // 2}" for index in range(20)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,speaker", *rows]))
    return tmp_path / "labels.csv"


def level(windows):
    return np.abs(windows).max(axis=1, keepdims=True)


def test_a_worse_embedding_scores_worse(manifest):
    before, after = change_of_recall(manifest, (level, lambda windows: 0 * level(windows)), 8_000, 4_000, 16_000)
    assert (before, after) == (1.0, 0.5)
    assert change_of_recall(manifest, (level, level), 8_000, 4_000, 16_000) == (1.0, 1.0)


def test_a_manifest_that_cannot_be_probed_is_refused_before_anything_is_embedded(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label,speaker\n" + "".join(f"a.wav,x,{index}\n" for index in range(9)))
    with pytest.raises(ValueError, match=r"labels\.csv has 1 labels and 9 speakers"):
        change_of_recall(tmp_path / "labels.csv", (level, level), 8_000, 4_000, 16_000)
