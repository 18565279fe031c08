"""Written, read back, damaged, and only what is missing done again."""

import dataclasses
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from noss import results
from noss.protocol import NOSS, evaluate, interval
from noss.results import Key, ResultError, done, load, load_all, pack, pack_texts, save, unpack, unpack_texts
from tests.noss.made import corpus, embeddings, task, utterances
from tests.noss.test_trials import PLAIN, TASK, evaluate_trials, voices

QUICK = dataclasses.replace(NOSS, aggregations=("mean",), classifiers=(("lda", (0.5, 0.9)), ("ridge", (1.0,))))


def judged(kind="speakers"):
    labels, speakers, vectors = corpus(num_speakers=8)
    clips = embeddings(vectors, failed={3: "no sound"})
    return evaluate(task(split=kind), utterances(labels, speakers), clips, QUICK, paper_selection=True)


def numbers():
    _, speakers, vectors = corpus(num_speakers=8)
    given_utterances = utterances(vectors[:, 0].tolist(), speakers)
    return evaluate(task("regression", "mae"), given_utterances, embeddings(vectors), QUICK)


def pairs():
    clips, vectors, trials = voices()
    return evaluate_trials(TASK, clips, embeddings(vectors), trials, PLAIN)


def key_of(evaluation, representation="TRILL, layer 19", **changes):
    key = Key(representation, "ab", evaluation.task, evaluation.task_version, "cd", evaluation.protocol)
    return dataclasses.replace(key, **changes)


def same(one, other):
    """Equal in every field, vectors too."""
    for each in dataclasses.fields(one):
        a, b = getattr(one, each.name), getattr(other, each.name)
        if each.name == "outcomes":
            assert len(a) == len(b)
            for first, second in zip(a, b, strict=True):
                same(first, second)
        elif isinstance(a, np.ndarray):
            np.testing.assert_allclose(b, a, rtol=1e-6)
            assert a.shape == b.shape
        else:
            assert a == b, each.name


@pytest.mark.parametrize(
    "evaluate_one",
    [
        pytest.param(judged, id="classes"),
        pytest.param(lambda: judged("within speaker"), id="one speaker at a time"),
        pytest.param(numbers, id="numbers"),
        pytest.param(pairs, id="pairs"),
    ],
)
def test_what_is_written_is_read_back(tmp_path, evaluate_one):
    evaluation = evaluate_one()
    path = save(tmp_path / "new", key_of(evaluation), evaluation, {"dim": 10})
    found = load(path)
    same(evaluation, found.evaluation)
    assert found.key == key_of(evaluation)
    assert found.about == {"dim": 10}
    assert {"trill", "numpy", "scikit-learn", "python"} <= set(found.versions)
    likely, again = interval(evaluation, rounds=100), interval(found.evaluation, rounds=100)
    assert (likely.low, likely.high) == pytest.approx((again.low, again.high))
    assert json.loads(path.read_text())["format"] == "noss-result"


def test_only_what_is_missing_is_done_again(tmp_path):
    evaluation = judged()
    key = key_of(evaluation)
    assert not done(tmp_path, key)
    save(tmp_path, key, evaluation)
    assert done(tmp_path, key)
    for change in (
        {"representation": "mfcc"},
        {"fingerprint": "other weights"},
        {"task_version": "2"},
        {"sounds": "other sounds"},
        {"protocol": "noss-2-0"},
        {"setting": "paper selection"},
    ):
        assert not done(tmp_path, dataclasses.replace(key, **change))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "damaged or something else"),
        (lambda text: "", "damaged or something else"),
        (lambda text: "[1, 2]", "damaged or something else"),
        (lambda text: "[" * 100_000, "damaged or something else"),
        (lambda text: text.replace('"noss-result"', '"another"'), "of version 1, got another 1"),
        (lambda text: text.replace('"version": 1', '"version": 99', 1), r"got noss-result 99\. Run the task again"),
        (lambda text: text.replace('"score": 0', '"score": 1', 1), "changed after it was written"),
    ],
)
def test_a_damaged_result_is_computed_again(tmp_path, damage, message):
    evaluation = judged()
    key = key_of(evaluation)
    path = save(tmp_path, key, evaluation)
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    assert not done(tmp_path, key)
    with pytest.raises(ResultError, match=message):
        load(path)
    with pytest.warns(UserWarning, match=message):
        assert load_all(tmp_path) == []
    save(tmp_path, key, evaluation)
    assert done(tmp_path, key)


@pytest.mark.parametrize(
    "change",
    [
        {"items": pack(np.arange(3))},
        {"truth": "<O8:AAAA"},
        {"truth": "<i4:!!"},
        {"names": pack_texts("ab")[:-8]},
        {"outcomes": [{}]},
        {"another": 1},
    ],
)
def test_a_result_that_does_not_fit_together(tmp_path, change):
    evaluation = judged()
    path = save(tmp_path, key_of(evaluation), evaluation)
    whole = json.loads(path.read_text())
    whole["result"]["evaluation"].update(change)
    whole["sha256"] = results._hash(whole["result"])
    path.write_text(json.dumps(whole))
    with pytest.raises(ResultError, match=r"must be a whole result, got \w+: .*Remove it"):
        load(path)


def test_what_is_packed_does_not_explode(monkeypatch):
    monkeypatch.setattr(results, "MAX_BYTES", 1000)
    assert len(unpack(pack(np.zeros(1000, int)))) == 1000
    with pytest.raises(ValueError, match="at most 1000 bytes"):
        unpack(pack(np.zeros(1001, int)))


@given(arrays.arrays(np.int64, st.integers(0, 50), elements=st.integers(-(2**62), 2**62)))
def test_integers_are_packed_without_loss(values):
    np.testing.assert_array_equal(unpack(pack(values)), values)


@given(arrays.arrays(np.float32, st.integers(0, 50)))
def test_floats_are_packed_as_float32(values):
    np.testing.assert_array_equal(unpack(pack(values.astype(np.float64))), values)


@given(st.lists(st.text()))
def test_texts_are_packed_without_loss(texts):
    assert unpack_texts(pack_texts(texts)) == tuple(texts)


def test_a_key_of_another_task_is_refused(tmp_path):
    evaluation = judged()
    with pytest.raises(ValueError, match="must be that of its evaluation, got other 1 noss"):
        save(tmp_path, key_of(evaluation, task="other"), evaluation)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    evaluation = judged()
    with pytest.raises(TypeError):
        save(tmp_path, key_of(evaluation), evaluation, {"not for JSON": object()})
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_finished_suite_is_read_in_seconds(tmp_path):
    """200 results of 5,000 clips in five splits: 5 s are allowed on an idle core, here twice that."""
    evaluation = judged()
    rng = np.random.default_rng(0)
    items = np.sort(rng.permutation(5000)[:1500])
    big = dataclasses.replace(
        evaluation,
        names=tuple(f"corpus/speaker{index % 91}/utterance{index}.wav" for index in range(5000)),
        speakers=tuple(f"speaker{index % 91}" for index in range(5000)),
        truth=rng.integers(6, size=5000),
        outcomes=tuple(
            dataclasses.replace(each, items=items, predicted=rng.integers(6, size=1500)) for each in evaluation.outcomes
        ),
    )
    keys = [key_of(big, f"model {index}") for index in range(200)]
    for key in keys:
        save(tmp_path, key, big)
    began = time.process_time()
    assert all(done(tmp_path, key) for key in keys)
    found = load_all(tmp_path)
    seconds = time.process_time() - began
    assert len(found) == 200
    assert seconds < 10
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 100_000
