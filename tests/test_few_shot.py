"""benchmarks/few_shot.py: fair draws, the methods that are shipped, and one command from packs to picture."""

import csv
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score

import trill
from tests.sounds import noise, tone

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def few_shot():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("few_shot")


@pytest.fixture(scope="module")
def picture(few_shot):
    return importlib.sys.modules["few_shot_picture"]


@pytest.fixture(scope="module")
def personal(tiny, tmp_path_factory):
    from export.signatures import export_personal

    path = tmp_path_factory.mktemp("personal") / "personal.tflite"
    export_personal(tiny.network, tiny.config, path, num_classes=8)
    return path


def pack_of(few_shot, labels, speakers):
    return few_shot.Pack([], np.zeros((len(labels), 1)), np.array(labels), np.array(speakers))


@pytest.mark.parametrize("split", ["clips", "across", "own"])
def test_draws_keep_learning_and_testing_apart(few_shot, split):
    """Twelve labels of ten speakers, four clips of each pair; speakers are the labels where clips are split."""
    labels = np.repeat([f"label {n}" for n in range(12)], 40)
    speakers = labels if split == "clips" else np.tile(np.repeat([f"speaker {n}" for n in range(10)], 4), 12)
    pack = pack_of(few_shot, labels, speakers)
    for seed in range(5):
        learn, test = few_shot.draw(pack, split, np.random.default_rng(seed))
        again, _ = few_shot.draw(pack, split, np.random.default_rng(seed))
        assert [clips.tolist() for clips in learn] == [clips.tolist() for clips in again]
        learnt = np.concatenate(learn)
        assert len(set(learnt)) == len(learnt)
        assert not set(learnt) & set(test)
        assert [len(set(labels[clips])) for clips in learn] == [1] * 8
        assert set(labels[test]) == {labels[clips[0]] for clips in learn}
        apart = not set(speakers[learnt]) & set(speakers[test])
        assert apart == (split == "across")
        if split == "own":
            assert len({*speakers[learnt], *speakers[test]}) == 1
            assert [len(clips) for clips in learn] == [2] * 8  # of four


def test_a_speaker_is_asked_what_he_says(few_shot):
    """One of two speakers never says two of the labels, and one of them once."""
    labels = np.concatenate([np.repeat([*"abcd"], 6), np.repeat([*"ab"], 6), ["c"]])
    pack = pack_of(few_shot, labels, np.repeat(["all", "some"], [24, 13]))
    said = [few_shot.draw(pack, "own", np.random.default_rng(seed)) for seed in range(10)]
    assert {len(learn) for learn, _ in said} == {2, 4}
    for learn, test in said:
        assert {len(clips) for clips in learn} == {4}
        assert {*labels[test]} == {labels[clips[0]] for clips in learn}


def test_speakers_are_halved_so_that_every_label_can_be_learnt(few_shot):
    """Each label is said twelve times by each of three speakers of six: a bad half would leave it with none."""
    random = np.random.default_rng(0)
    labels = np.repeat([*"abcdefgh"], 36)
    speakers = np.concatenate([np.repeat(random.permutation(6)[:3], 12) for _ in range(8)]).astype(str)
    for seed in range(10):
        learn, _ = few_shot.draw(pack_of(few_shot, labels, speakers), "across", np.random.default_rng(seed))
        assert min(map(len, learn)) >= 12


@settings(deadline=None, max_examples=50)
@given(codes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_recall_is_scikit_learns(few_shot, codes):
    truth, found = np.array(codes).T
    expected = recall_score(truth, found, labels=np.unique(truth), average="macro", zero_division=0)
    assert few_shot.recall(truth, found) == pytest.approx(expected)


def blobs(clips, seed=0, labels=4):
    """Embeddings around a direction a label."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(labels, 51))
    codes = np.repeat(np.arange(labels), clips)
    return (centres[codes] + 0.7 * random.normal(size=(len(codes), 51))).astype(np.float32), codes


@pytest.mark.parametrize("clips", [1, 2, 5, 20])
def test_the_automatic_choice_is_that_of_a_personal_head(few_shot, embedder, clips):
    x, codes = blobs(clips)
    test, _ = blobs(5, seed=1)
    head = trill.PersonalHead(model=embedder)
    for code in range(4):
        head.add_embeddings(str(code), x[codes == code])
    expected = [int(next(iter(head.predict_embedding(row).scores))) for row in test]
    assert (
        few_shot.linear_learner("automatic", few_shot.background_of(embedder.card, 51))(x, codes)(test).tolist()
        == expected
    )


def test_the_head_on_the_device_learns_anew_each_time(few_shot, personal):
    test, truth = blobs(5, seed=1)
    (x, codes), (few, fewer) = blobs(6), blobs(6, labels=2)
    near = noise((500, 51)).astype(np.float32)  # between the labels, where a little more or less decides
    said = []
    for falling in (False, True):
        learner = few_shot.device_learner(personal, falling=falling)
        first = learner(x, codes)
        assert few_shot.recall(truth, first(test)) > 0.9
        said.append(first(near))
        assert set(learner(few, fewer)(near)) <= {0, 1}
        np.testing.assert_array_equal(learner(x, codes)(near), said[-1])
    assert (said[0] != said[1]).any()


def test_fine_tuning_begins_at_the_personal_head_and_learns_anew_each_time(few_shot, embedder, tiny, tmp_path):
    write_pack(tmp_path / "dev")
    paths = sorted((tmp_path / "dev/audio").iterdir(), key=lambda path: int(path.stem))
    x, codes = embedder.embed_batch(paths), np.arange(72) % 9
    background = few_shot.background_of(embedder.card, embedder.embedding_dim)
    learnt, asked = np.arange(18), np.arange(18, 72)
    head = few_shot.linear_learner("automatic", background)(x[learnt], codes[learnt])
    still = few_shot.Tuned(tiny.safetensors, paths, x, background, steps=0)
    np.testing.assert_array_equal(still(learnt, codes[learnt])(asked), head(x[asked]))
    tuned = few_shot.Tuned(tiny.safetensors, paths, x, background, steps=3)
    before = tuned.upper.get_weights()
    first = tuned(learnt, codes[learnt])(asked)
    assert any((one != other).any() for one, other in zip(before, tuned.upper.get_weights(), strict=True))
    np.testing.assert_array_equal(tuned(learnt, codes[learnt])(asked), first)


def test_a_summary_is_mean_interval_and_spread(few_shot):
    scores = np.linspace(0, 1, 101)
    found = few_shot.summary(5, [(score, 0.002) for score in scores], [0.02])
    assert found["clips"] == 5
    assert (found["mean"], found["tenth"], found["ninetieth"], found["milliseconds"]) == (0.5, 0.1, 0.9, 2.0)
    assert found["over_embedding_a_clip"] == 0.1
    half = 1.96 * scores.std() / np.sqrt(len(scores))
    assert found["low"] == pytest.approx(0.5 - half, abs=0.01)
    assert found["high"] == pytest.approx(0.5 + half, abs=0.01)


@settings(deadline=None)
@given(st.lists(st.floats(0, 98), min_size=1, max_size=6))
def test_names_of_lines_do_not_meet(picture, heights):
    ends = {str(index): (1.0, height) for index, height in enumerate(heights)}
    places = picture.apart(ends, gap=5, top=98)
    ordered = sorted(places.values())
    assert max(ordered) <= 98 + 1e-9
    assert min(np.diff(ordered), default=5) >= 5 - 1e-9
    for name, place in places.items():
        assert all(places[other] > place for other in ends if ends[other][1] > ends[name][1])


def write_pack(folder, seconds=1.0):
    """Nine labels of four speakers, two clips each: label and speaker are heard."""
    (folder / "audio").mkdir(parents=True)
    rows = [("path", "label", "speaker")]
    for number in range(72):
        label, speaker, take = number % 9, number // 9 % 4, number // 36
        sound = tone(seconds, hertz=200 + 100 * label) + 0.3 * noise(16_000, 10 * speaker + take)
        soundfile.write(folder / f"audio/{number}.wav", sound / 2, 16_000)
        rows.append((f"audio/{number}.wav", f"label {label}", f"speaker {speaker}"))
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_one_command_from_packs_to_picture(few_shot, tiny, personal, tmp_path, capsys, monkeypatch):
    write_pack(tmp_path / "dev/emotion_en")
    write_pack(tmp_path / "dev/keyword_ar")
    command = [tmp_path / "dev", "-o", tmp_path / "out", "--model", tiny.tflite, "--personal", personal, "-q"]
    command += ["--network", tiny.safetensors]
    few_shot.main([*map(str, command), "--draws", "3"])
    found = json.loads((tmp_path / "out/few-shot.json").read_text())
    assert list(found["questions"]) == ["words_ar", "emotions", "words_ar_own", "emotions_own"]
    assert (found["draws"], found["labels"], found["questions"]["emotions"]["chance"]) == (3, 8, 0.125)
    for name, question in found["questions"].items():
        tuned = {"tuned"} if name.endswith("own") else set()
        assert set(question["methods"]) == {"centroid", "logistic", "automatic", "device", "device_falling"} | tuned
        for rows in question["methods"].values():
            # Four speakers, two clips each: two of them, or one clip.
            assert [row["clips"] for row in rows] == ([1] if name.endswith("own") else [1, 2])
            for row in rows:
                assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
                assert row["over_embedding_a_clip"] > 0
    assert (tmp_path / "out/few-shot.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "emotions       logistic   1: " in said

    # Asked again it embeds nothing anew, and finds the same.
    monkeypatch.setattr(few_shot, "embed_files", None)
    few_shot.main([*map(str, command), "--draws", "3"])
    again = json.loads((tmp_path / "out/few-shot.json").read_text())
    for name, question in found["questions"].items():
        for method, rows in question["methods"].items():
            means = [row["mean"] for row in again["questions"][name]["methods"][method]]
            assert means == [row["mean"] for row in rows]


def test_without_packs_it_says_what_it_needs(few_shot, tmp_path, capsys):
    with pytest.raises(SystemExit):
        few_shot.main([str(tmp_path), "-o", str(tmp_path / "out")])
    assert "must hold one of the packs emotion_en, emotion_pl, keyword_ar" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
