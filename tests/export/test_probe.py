"""Recall of a classifier: folds keep speakers whole, and a worse embedding scores worse."""

import numpy as np
import pytest
import soundfile

from export.probe import change_of_recall, recall
from tests.sounds import tone
from trill.errors import ModelError


def test_speakers_are_kept_whole():
    """Who knows a speaker's clips knows the label; who never heard the speaker guesses."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40), 5).astype(str)
    labels = np.where(np.repeat(rng.permutation(np.arange(40) % 2), 5), "a", "b")
    voices = np.repeat(np.eye(40), 5, axis=0)
    assert recall(voices, labels, speakers) < 0.7
    assert recall(np.stack([labels == "a", labels == "b"], 1).astype(float), labels, speakers) == 1


def test_where_the_speaker_is_the_label():
    speakers = np.repeat(["a", "b"], 10)
    assert recall((speakers == "a")[:, None].astype(float), speakers, speakers) == 1


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns path, label and speaker, .* has no rows"),
        ("path,label\na.wav,x\n", "has path, label"),
        ("path,label,speaker\n" + "".join(f"a.wav,x,{i}\n" for i in range(9)), "1 labels and 9 speakers"),
        ("path,label,speaker\n" + "".join(f"a.wav,{i % 2},{i % 4}\n" for i in range(9)), "2 labels and 4 speakers"),
        ("path,label,speaker\n" + "".join(f"a.wav,{i % 2},{i % 2}\n" for i in range(8)), "2 labels and 2 speakers"),
    ],
)
def test_manifests_that_cannot_be_probed(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ModelError, match=message):
        change_of_recall(tmp_path / "labels.csv", (level, level), 8_000, 4_000, 16_000)
