"""The probe against its definition; speakers kept whole; what it reads, and what it says to the rest."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import probe as oracle
from tests.sounds import noise, tone
from trill import errors, probe
from trill.probe import LabelledClips, embed_clips, folds, read_clips, read_labels, recall

# Recall.


def made_up(num_labels=3, num_speakers=12, clips=10, dim=8, seed=0):
    """Embeddings with something of the label and much of the speaker in them; labels, speakers."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(num_speakers), clips)
    labels = rng.integers(num_labels, size=len(speakers))
    means = [rng.normal(size=(count, dim)) for count in (num_labels, num_speakers)]
    return means[0][labels] + means[1][speakers] + rng.normal(size=(len(labels), dim)), labels, speakers.astype(str)


@pytest.mark.parametrize(("num_labels", "dim"), [(2, 8), (5, 8), (3, 120)])
def test_recall_is_the_definition(num_labels, dim):
    embeddings, labels, speakers = made_up(num_labels, dim=dim)
    labels[:40] = 0  # not all equally often
    expected = oracle.recall(embeddings, labels, folds(labels, speakers), probe.STRENGTH * dim)
    assert recall(embeddings, labels, speakers) == pytest.approx(expected)
    assert 1 / num_labels < expected < 1


def test_scale_and_offset_of_a_dimension_do_not_count():
    embeddings, labels, speakers = made_up()
    assert recall(embeddings * np.geomspace(1e-3, 1e3, 8) + 7, labels, speakers) == recall(embeddings, labels, speakers)


@pytest.mark.parametrize("dim", [32, 2048])
def test_what_knows_the_label_scores_one_and_what_knows_nothing_guesses(dim):
    rng = np.random.default_rng(0)
    labels = np.repeat([*"abcd"], 100)
    speakers = np.tile(np.arange(20), 20)
    random = rng.normal(size=(400, dim)).astype(np.float32)
    assert recall(random, labels, speakers) == pytest.approx(1 / 4, abs=0.07)
    assert recall(np.zeros((400, dim)), labels, speakers) == pytest.approx(1 / 4, abs=0.05)
    means = rng.normal(size=(4, dim))
    assert recall(random + 2 * means[np.arange(400) // 100], labels, speakers) == 1


def test_who_knows_the_speakers_guesses():
    """Their clips all have one label: with a speaker on both sides, recall would be one."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40), 5)
    labels = np.where(np.repeat(rng.permutation(np.arange(40) % 2), 5), "a", "b")
    voices = np.repeat(np.eye(40), 5, axis=0)
    assert recall(voices, labels, speakers) < 0.7
    assert recall(voices, labels, np.arange(200)) == 1


def test_where_the_speaker_is_the_label():
    speakers = np.repeat(["a", "b"], 10)
    assert recall((speakers == "a")[:, None].astype(float), speakers, speakers) == 1


def test_a_network_that_diverged_is_not_scored():
    embeddings, labels, speakers = made_up()
    embeddings[3:5, 1] = np.nan, np.inf
    with pytest.raises(ValueError, match="must be finite, 2 of 120 are not"):
        recall(embeddings, labels, speakers)


# Folds.

KINDS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=10, max_size=80)


@given(st.sampled_from(["speakers", "labels", "clips"]), KINDS)
def test_every_clip_is_tested_once_and_no_speaker_is_on_both_sides(whose, clips):
    labels, speakers = np.array(clips).T
    speakers = {"speakers": speakers, "labels": labels, "clips": np.arange(len(labels))}[whose]
    try:
        splits = folds(labels, speakers)
    except ValueError:
        return
    assert len(splits) == 5
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(len(labels)))
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
        if whose == "speakers":
            assert not set(speakers[train]) & set(speakers[test])
        else:
            assert set(labels[train]) == set(labels)
    for split, again in zip(splits, folds(labels, speakers), strict=True):
        np.testing.assert_array_equal(split[1], again[1])


def spread(labels, speakers, rows):
    index = np.arange(rows)
    return index % labels, index % speakers if speakers else index


@pytest.mark.parametrize(
    ("labels", "speakers", "message"),
    [
        (*spread(1, 9, 18), "two labels, .* this has 1 labels and 9 speakers"),
        (*spread(2, 4, 20), "five in all, this has 2 labels and 4 speakers"),
        (*spread(2, 2, 8), "five clips of each .* this has 2 labels and 2 speakers, of the rarest label 4 clips"),
        (*spread(3, 0, 14), "3 labels and 14 speakers, of the rarest label 4 clips and 4 speakers"),
        (np.arange(30) // 5 > 4, np.arange(30) // 5, "2 labels and 6 speakers, .* 5 clips and 1 speakers"),
        ((), (), r"0 labels and 0 speakers, .* Add clips, or leave rare labels empty\.$"),
    ],
)
def test_clips_that_do_not_suffice(labels, speakers, message):
    with pytest.raises(ValueError, match=message):
        recall(np.zeros((len(labels), 2)), np.array(labels), np.array(speakers))


# Labels.


@pytest.fixture
def folder(tmp_path):
    """Ten sounds `a/0.wav`, ... and ten `b/0.wav`, ...: low and high."""
    for label, hertz in (("a", 200), ("b", 2000)):
        (tmp_path / label).mkdir()
        for index in range(10):
            soundfile.write(tmp_path / label / f"{index}.wav", tone(0.3 + index / 10, hertz=hertz + index), 16_000)
    return tmp_path


def relative(clips, folder):
    return [path.relative_to(folder).as_posix() for path in clips.paths]


@pytest.mark.parametrize("named", ["labels.csv", "."])
def test_a_manifest_gives_labels_and_speakers(folder, named):
    rows = [f"{label}/{index}.wav,{label},{index // 2}\n" for index in range(10) for label in "ab"]
    text = "path,label,speaker\n" + "".join(rows) + "a/0.wav,,0\n,a,1\na/1.wav\n"
    (folder / named / "manifest.csv" if named == "." else folder / named).write_text(text)
    clips = read_labels(folder / named)
    assert relative(clips, folder) == [row.split(",")[0] for row in rows]
    assert clips.labels.tolist() == [*"ab"] * 10
    assert clips.speakers.tolist() == [str(index // 4) for index in range(20)]


@pytest.mark.parametrize("column", ["path,label\n", "path,label,speaker\n"])
def test_without_a_speaker_a_clip_is_its_own(folder, column):
    names = [f"{label}/{index}.wav" for label in "ab" for index in range(5)]
    (folder / "labels.csv").write_text(column + "".join(f"{name},{name[0]}\n" for name in names))
    assert read_labels(folder / "labels.csv").speakers.tolist() == names


def test_folders_are_labels(folder):
    (folder / ".git").mkdir()
    (folder / "notes.txt").touch()
    clips = read_labels(str(folder))
    assert relative(clips, folder) == [f"{label}/{index}.wav" for label in "ab" for index in range(10)]
    assert clips.labels.tolist() == [*"a" * 10, *"b" * 10]
    assert len(set(clips.speakers)) == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"must be a CSV file in UTF-8, .*labels\.csv cannot be read as one"),
        ("", r"needs a column `path`, .*labels\.csv has none"),
        ("path,speaker\na.wav,x\n", r"needs a column `label`, .* has path, speaker\. Name it in the first line"),
        ("path,label\n,a\n", "at least one row with a path"),
        ("path,label\na.wav,\n", r"two labels, .*labels\.csv has 0 labels"),
        ("path,label\n" + "a.wav,x\n" * 9, r".*labels\.csv has 1 labels and 1 speakers"),
    ],
)
def test_a_manifest_that_cannot_be_probed_says_why(tmp_path, text, message):
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "labels.csv")


def test_folders_that_cannot_be_probed_say_why(folder):
    with pytest.raises(ValueError, match=r"manifest\.csv, or folders named as the labels, .*/a has neither"):
        read_labels(folder / "a")
    (folder / "c").mkdir()
    with pytest.raises(ValueError, match=r"must hold sound files .*/c has none"):
        read_labels(folder)


def test_without_scikit_learn_it_is_said_before_anything_is_embedded(folder, monkeypatch):
    def missing(module, extra):
        raise errors.MissingPackageError(f"{module}, {extra}")

    monkeypatch.setattr(probe, "optional", missing)
    with pytest.raises(errors.MissingPackageError, match="sklearn, noss"):
        read_labels(folder)


# Embeddings.


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(1, 20), st.integers(1, 20))
def test_a_clip_is_the_mean_of_its_windows(lengths, window, hop):
    waveforms = [noise(length, seed) for seed, length in enumerate(lengths)]
    shapes = set()

    def embed(windows):
        shapes.add((windows.shape, windows.dtype))
        return np.stack([windows.sum(axis=1), windows[:, 0] ** 2], axis=1)

    expected = [embed_by_hand(waveform, window, hop) for waveform in waveforms]
    found = embed_clips(embed, iter(waveforms), window, hop)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert shapes == {((64, window), np.dtype(np.float32))}
    assert found.dtype == np.float32


def embed_by_hand(waveform, window, hop):
    rows = probe.frame(waveform, window, hop)
    return np.mean([[row.sum(), row[0] ** 2] for row in rows], axis=0)


def test_an_embedder_gives_a_row_a_window():
    with pytest.raises(ValueError, match="shorter"):
        embed_clips(lambda windows: windows[:1], [noise(100)], 10, 10)


def test_from_folders_to_recall(folder):
    clips = read_labels(folder)
    waveforms = list(read_clips(clips, 8_000))
    assert [len(waveform) for waveform in waveforms] == [2_400 + 800 * (index % 10) for index in range(20)]

    def crossings(windows):
        return np.diff(np.sign(windows)).astype(bool).mean(axis=1, keepdims=True)

    embeddings = embed_clips(crossings, waveforms, 2_000, 1_000)
    assert embeddings.shape == (20, 1)
    assert recall(embeddings, clips.labels, clips.speakers) == 1


def test_a_clip_that_is_missing_is_named(tmp_path):
    clips = LabelledClips((tmp_path / "a.wav",), np.array(["a"]), np.array(["x"]))
    with pytest.raises(errors.AudioNotFoundError, match=r"a\.wav"):
        list(read_clips(clips, 16_000))
