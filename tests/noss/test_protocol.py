"""The protocol: a number by hand, what may not be looked at, what must come out, and what it says to the rest."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score

from noss import selection
from noss.classifiers import fit
from noss.config import STRENGTHS
from noss.evaluation import score
from noss.protocol import NOSS, REFEREE, ProtocolConfig, evaluate, interval
from noss.splits import SplitRule, make_splits
from noss.tasks import CorpusError, load, pack_tasks
from tests.noss.made import corpus, embeddings, task, utterances
from tests.oracles import protocol as oracle

QUICK = dataclasses.replace(
    NOSS, classifiers=(("balanced_logistic", (1e-2, 1e-1)), ("lda", (0.5,)), ("ridge", (1.0, 0.1)))
)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "speech"

# A number by hand.


def test_a_score_in_twenty_lines_of_scikit_learn():
    labels, speakers, vectors = corpus(label=0.5)
    clips = embeddings(vectors, counts=[1 + index % 4 for index in range(len(labels))], noise=1.0)
    config = ProtocolConfig(aggregations=("mean", "max"), normalisations=("none", "l2"))
    config = dataclasses.replace(config, classifiers=(("balanced_logistic", STRENGTHS),))
    found = evaluate(task(), utterances(labels, speakers), clips, config)

    scores = []
    for split in make_splits(labels, speakers, "speakers", SplitRule()):
        tried = []
        for pooled in (np.mean, np.max):
            rows = np.stack(
                [pooled(clips.rows[i:j], axis=0) for i, j in zip(clips.starts, clips.starts[1:], strict=False)]
            )
            for x in (rows, rows / np.linalg.norm(rows, axis=1, keepdims=True)):
                for strength in STRENGTHS:

                    def predict(learn, judge, x=x, strength=strength):
                        a, b = oracle.standardised(x[learn], x[judge])
                        model = LogisticRegression(C=strength, class_weight="balanced", tol=1e-7, max_iter=5000)
                        return recall_score(labels[judge], model.fit(a, labels[learn]).predict(b), average="macro")

                    tried.append((predict(split.train, split.dev), -len(tried), predict))
        dev_score, _, predict = max(tried, key=lambda each: each[:2])
        scores.append(predict(np.concatenate([split.train, split.dev]), split.test))
    assert found.score == pytest.approx(np.mean(scores), abs=1e-12)
    assert found.outcomes[-1].dev_score == pytest.approx(dev_score, abs=1e-12)
    assert [outcome.score for outcome in found.outcomes] == pytest.approx(scores, abs=1e-12)


def referee():
    spec = importlib.util.spec_from_file_location("referee", SHARED / "score.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["referee"] = module
    spec.loader.exec_module(module)
    return module


def log_mel(waveform):
    """Mean and standard deviation of 40 bands: what is cheap."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(waveform, (0, 400)), 400)[::160] * np.hanning(400)
    spectrum = np.abs(np.fft.rfft(frames, 512))
    edges = np.geomspace(4, 240, 41).astype(int)
    bands = np.log(np.add.reduceat(spectrum, edges[:-1], axis=1) + 1e-3)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)])


@pytest.mark.skipif(not (SHARED / "dev").is_dir(), reason="needs ../shared/speech")
@pytest.mark.parametrize("name", ["accent_en", "speaker_en_l2"])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_referee_agrees_with_score_py(name):
    module = referee()
    pack = pack_tasks(SHARED / "dev")[name]
    clips = load(pack)
    rows = np.stack([log_mel(module.read(each.path)) for each in clips]).astype(np.float32)
    by_path = iter(rows)
    expected = module.score(SHARED / "dev" / name, lambda _: next(by_path))
    found = evaluate(pack, clips, embeddings(rows), REFEREE)
    assert found.score == pytest.approx(expected["uar"], abs=1e-9)
    likely = interval(found, expanded=False)
    assert (likely.low, likely.high) == pytest.approx((expected["low"], expected["high"]), abs=0.03)


# What may not be looked at.


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(["speakers", "clips", "within speaker", "canonical"]))
def test_the_labels_of_the_test_part_choose_nothing(seed, kind):
    labels, speakers, vectors = corpus(num_speakers=8, label=0.5, seed=seed)
    parts = ["train"] * 60 + ["test"] * 36
    labels = np.array([f"{'abc'[int(each == 'b')]}" for each in labels])
    given_task = task(split=kind)
    config = dataclasses.replace(QUICK, splits=SplitRule(num_splits=1, seed=seed))
    before = evaluate(given_task, utterances(labels, speakers, parts), embeddings(vectors), config)
    tested = np.unique(np.concatenate([outcome.items for outcome in before.outcomes]))
    others = labels.copy()
    rng = np.random.default_rng(seed)
    if kind == "within speaker":  # a speaker's classes decide who is asked
        for outcome in before.outcomes:
            others[outcome.items] = rng.permutation(others[outcome.items])
    else:
        others[tested] = rng.permutation(others[tested])
    # The parts stay where they were: they are stratified by the labels of all clips.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("noss.protocol.make_splits", lambda _, *rest, **options: make_splits(labels, *rest, **options))
        after = evaluate(given_task, utterances(others, speakers, parts), embeddings(vectors), config)
    for one, other in zip(before.outcomes, after.outcomes, strict=True):
        assert (one.setting, one.dev_score) == (other.setting, other.dev_score)
        np.testing.assert_array_equal(one.predicted, other.predicted)


@pytest.mark.parametrize("varying", ["train", "test"])
def test_whether_speakers_vary_is_asked_of_the_training_part(varying):
    speakers = np.repeat(np.arange(12), 10)
    trained = speakers < 4
    alternating, constant = np.arange(120) % 2, speakers % 2
    both = (alternating, constant) if varying == "train" else (constant, alternating)
    labels = np.where(np.where(trained, *both), "a", "b")
    parts = np.where(trained, "train", "test").tolist()
    _, _, vectors = corpus(num_speakers=12, clips=10)
    found = evaluate(task(split="canonical"), utterances(labels, speakers, parts), embeddings(vectors), QUICK)
    assert ("speaker" in found.skipped) == (varying == "test")


def test_choosing_on_test_is_noticed():
    """That the test above can fail: what is best on test changes with its labels."""
    labels, speakers, vectors = corpus(num_speakers=8, label=0.3)
    found = [
        evaluate(
            task(),
            utterances(np.random.default_rng(seed).permutation(labels), speakers),
            embeddings(vectors),
            QUICK,
            paper_selection=True,
        ).paper
        for seed in range(2)
    ]
    assert found[0]["settings"] != found[1]["settings"]


def test_who_encodes_the_speaker_guesses():
    """Nothing but the voice, in every setting of the default grid; labels of a speaker alike, or not."""
    rng = np.random.default_rng(0)
    for per_speaker in (True, False):
        speakers = np.repeat(np.arange(60), rng.integers(1, 12, 60))
        own = rng.integers(2, size=60)[speakers]
        codes = own if per_speaker else np.where(rng.random(len(own)) < 0.7, own, 1 - own)
        voices = np.eye(60)[speakers] * 5 + rng.normal(size=(len(speakers), 60)) * 0.1
        config = dataclasses.replace(NOSS, splits=SplitRule(num_splits=3))
        found = evaluate(task(), utterances(np.array([*"ab"])[codes], speakers), embeddings(voices), config)
        assert found.score == pytest.approx(0.5, abs=0.12)
        assert ("speaker" in found.skipped) == per_speaker


@pytest.mark.parametrize("least", [1, 5])
def test_how_many_clips_a_speaker_has_does_not_show(least, monkeypatch):
    """Noise, and classes that differ in it: by their own means single clips would become zeros, two opposites."""
    monkeypatch.setattr("noss.features.MIN_CLIPS", least)
    rng = np.random.default_rng(0)
    counts = np.tile([1, 2, 3, 12], 25)
    speakers = np.repeat(np.arange(100), counts)
    codes = (rng.random(len(speakers)) < np.where(counts[speakers] < 4, 0.9, 0.3)).astype(int)
    config = dataclasses.replace(NOSS, aggregations=("mean",), normalisations=("speaker",))
    config = dataclasses.replace(config, splits=SplitRule(num_splits=3))
    rows = rng.normal(size=(len(codes), 20))
    found = evaluate(task(), utterances(np.array([*"ab"])[codes], speakers), embeddings(rows), config)
    if least == 1:  # the test can fail
        assert found.score > 0.65
    else:
        assert found.score == pytest.approx(0.5, abs=0.08)
        assert found.outcomes[0].seen["too few clips"] > 0


# What must come out.


@pytest.mark.parametrize("kind", ["speakers", "clips", "within speaker"])
def test_random_labels_give_chance_and_separable_ones_one(kind):
    labels, speakers, vectors = corpus(num_speakers=8, clips=18, label=20.0)
    config = dataclasses.replace(QUICK, splits=SplitRule(num_splits=2))
    options = {"metric": "accuracy", "split": kind}
    assert evaluate(task(**options), utterances(labels, speakers), embeddings(vectors), config).score == 1
    shuffled = np.random.default_rng(1).permutation(labels)
    found = evaluate(task(**options), utterances(shuffled, speakers), embeddings(vectors), config, paper_selection=True)
    assert found.score == pytest.approx(1 / 3, abs=0.12)
    assert found.paper["price"] > 0  # of choosing on test, where there is nothing to find
    assert found.paper["score"] == pytest.approx(found.score + found.paper["price"])


def test_voting_is_the_mode_of_windows():
    labels, speakers, vectors = corpus(label=2.0)
    clips = embeddings(vectors, counts=np.arange(len(labels)) % 5 + 1, noise=1.0)
    config = dataclasses.replace(
        QUICK, aggregations=("mode",), normalisations=("none",), classifiers=(("lda", (0.5,)),)
    )
    (outcome, *_) = evaluate(task(), utterances(labels, speakers), clips, config).outcomes
    (split, *_) = make_splits(labels, speakers, "speakers")
    learn = np.concatenate([split.train, split.dev])
    learn.sort()
    codes = np.unique(labels, return_inverse=True)[1]
    rows = [np.arange(clips.starts[clip], clips.starts[clip + 1]) for clip in range(len(labels))]
    training = np.concatenate([rows[clip] for clip in learn])
    targets = np.concatenate([[codes[clip]] * len(rows[clip]) for clip in learn])
    fitted = fit(clips.rows[training], targets, [("lda", 0.5)])
    assert outcome.predicted.tolist() == [
        oracle.vote(fitted(clips.rows[rows[clip]])[0].tolist()) for clip in split.test
    ]


def test_windows_to_learn_from_are_limited_and_those_judged_are_not(monkeypatch):
    labels, speakers, vectors = corpus(label=20.0)
    clips = embeddings(vectors, counts=[9] * len(labels), noise=0.1)
    learned = []
    monkeypatch.setattr(selection, "fit", lambda rows, *rest: learned.append(len(rows)) or fit(rows, *rest))
    for voting_rows, windows in ((10, 1), (500, 3), (5000, 9)):
        learned.clear()
        config = dataclasses.replace(QUICK, aggregations=("mode",), voting_rows=voting_rows)
        found = evaluate(task(), utterances(labels, speakers), clips, config)
        assert found.score == 1
        assert learned[0] == windows * found.outcomes[0].sizes["train"]


@pytest.mark.parametrize("metric", ["mae", "ccc"])
def test_numbers(metric):
    _, speakers, vectors = corpus(num_speakers=20, clips=15)
    ages = vectors[:, :3].sum(axis=1) * 5 + 40
    found = evaluate(
        task("regression", metric),
        utterances(ages.tolist(), speakers),
        embeddings(vectors),
        QUICK,
        paper_selection=True,
    )
    assert found.scores["ccc"] > 0.99
    assert found.scores["mae"] < 1
    assert found.score == found.scores[metric]
    assert found.paper["price"] >= 0
    assert {outcome.setting.classifier for outcome in found.outcomes} == {"ridge"}
    assert "mode" not in {outcome.setting.aggregation for outcome in found.outcomes}
    assert interval(found).low <= found.score <= interval(found).high


def test_the_setting_of_one_speaker_at_a_time_is_chosen_for_all():
    labels, speakers, vectors = corpus(num_speakers=6, clips=18, label=0.7)
    found = evaluate(task(split="within speaker"), utterances(labels, speakers), embeddings(vectors), QUICK)
    assert len(found.outcomes) == 30
    for group in "01234":
        assert len({outcome.setting for outcome in found.outcomes if outcome.group == group}) == 1
    assert found.score == pytest.approx(np.mean([outcome.score for outcome in found.outcomes]))
    assert found.skipped["speaker"].startswith("one speaker")
    assert interval(found).num_speakers == 6


def test_jobs_and_repetition_change_nothing():
    labels, speakers, vectors = corpus(num_speakers=8, label=0.7)
    config = dataclasses.replace(NOSS, aggregations=("mean", "mode"), normalisations=("none", "speaker"))
    arguments = task(), utterances(labels, speakers), embeddings(vectors), config
    one, two = (evaluate(*arguments, jobs=jobs) for jobs in (1, 3))
    for first, second in zip(one.outcomes, two.outcomes, strict=True):
        assert (first.setting, first.dev_score) == (second.setting, second.dev_score)
        np.testing.assert_array_equal(first.predicted, second.predicted)


def test_refit_uses_dev():
    labels, speakers, vectors = corpus(label=0.5)
    both = [
        evaluate(task(), utterances(labels, speakers), embeddings(vectors), dataclasses.replace(QUICK, refit=refit))
        for refit in (True, False)
    ]
    assert both[0].protocol != both[1].protocol
    assert [each.setting for each in both[0].outcomes] == [each.setting for each in both[1].outcomes]
    assert any((a.predicted != b.predicted).any() for a, b in zip(both[0].outcomes, both[1].outcomes, strict=True))


def test_the_speaker_as_label_has_intervals_by_clip():
    people = np.repeat([*"abcdefgh"], 12)
    _, _, vectors = corpus(num_speakers=8, clips=12)
    found = evaluate(task(split="clips"), utterances(people, people), embeddings(vectors), QUICK)
    assert "speaker" in found.skipped
    assert interval(found).num_speakers == len({item for outcome in found.outcomes for item in outcome.items.tolist()})


# Bad input.


def test_clips_that_failed_are_left_out_and_counted():
    labels, speakers, vectors = corpus(label=20.0)
    failed = {3: "no sound", 17: "too long"}
    clips = embeddings(vectors, failed=failed)
    found = evaluate(task(), utterances(labels, speakers), clips, QUICK)
    assert found.failed == {"3.wav": "no sound", "17.wav": "too long"}
    tested = np.concatenate([outcome.items for outcome in found.outcomes])
    assert not {3, 17} & set(tested.tolist())
    whole = evaluate(task(), utterances(labels, speakers), embeddings(vectors), QUICK)
    for part, every in zip(found.outcomes, whole.outcomes, strict=True):
        assert set(every.items) - set(part.items) <= {3, 17}
    clips.failed = {}
    assert evaluate(task(), utterances(labels, speakers), clips, QUICK).failed["3.wav"] == "it has no windows"


def test_a_part_without_a_clip_left():
    labels, speakers, vectors = corpus(num_speakers=4)
    parts = ["train"] * 36 + ["test"] * 12
    clips = embeddings(vectors, failed=dict.fromkeys(range(36, 48), "no sound"))
    with pytest.raises(CorpusError, match=r"and 0 to test, for 12 of 48 failed: no sound"):
        evaluate(task(split="canonical"), utterances(labels, speakers, parts), clips, QUICK)
    alone = evaluate(task(split="within speaker"), utterances(labels, speakers), clips, QUICK)
    assert {outcome.speaker for outcome in alone.outcomes} == {"0", "1", "2"}
    assert alone.skipped["split 0: 3"] == "a part has no clip left"


def test_a_class_missing_in_a_part_is_said():
    labels = np.array([*"aab"] * 8 + [*"abc"] * 4)
    parts = ["train"] * 24 + ["test"] * 12
    speakers = np.repeat(np.arange(12), 3)
    _, _, vectors = corpus(num_speakers=12, clips=3)
    given_utterances = utterances(labels, speakers, parts)
    found = evaluate(task(split="canonical"), given_utterances, embeddings(vectors), QUICK)
    assert found.outcomes[0].missing == {"train": ["c"], "dev": ["c"]}
    assert found.classes == ("a", "b", "c")
    assert interval(found).value == pytest.approx(found.score)
    alone = utterances(["a"] * 12 + ["b"] * 12 + ["a"] * 12, speakers, parts)
    found = evaluate(task(split="canonical"), alone, embeddings(vectors), QUICK)
    assert found.outcomes[0].missing["test"] == ["b"]
    assert 0 <= found.score <= 1


def test_training_on_one_class_predicts_it():
    parts = ["train"] * 24 + ["test"] * 12
    _, _, vectors = corpus(num_speakers=12, clips=3)
    labels = ["a"] * 24 + [*"ab"] * 6
    found = evaluate(
        task(split="canonical"), utterances(labels, np.repeat(np.arange(12), 3), parts), embeddings(vectors), QUICK
    )
    assert found.score == 0.5
    assert set(found.outcomes[0].predicted.tolist()) == {0}


def test_the_same_sound_in_two_parts_gives_a_warning():
    labels, speakers, vectors = corpus(label=20.0)
    contents = [str(index) for index in range(len(labels))]
    contents[200] = contents[0]
    contents[5] = contents[6] = ""  # not known
    with pytest.warns(UserWarning, match=r"one part, 1 stand in more: 0\.wav = 200\.wav\. Remove the copies"):
        found = evaluate(task(), utterances(labels, speakers), embeddings(vectors), QUICK, contents=contents)
    assert found.duplicates == ("0.wav = 200.wav",)
    with pytest.raises(ValueError, match="a hash for each utterance, got 1 for 240"):
        evaluate(task(), utterances(labels, speakers), embeddings(vectors), QUICK, contents=["x"])


def test_four_speakers():
    labels, speakers, vectors = corpus(num_speakers=4, clips=30, label=20.0)
    found = evaluate(task(), utterances(labels, speakers), embeddings(vectors), QUICK)
    assert len(found.outcomes) == 4
    assert "4 speakers cannot say how others would score" in interval(found).vacuous


def test_many_classes_of_few_clips():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(1251), 4).astype(str)
    vectors = rng.normal(size=(1251, 40))[people.astype(int)] * 3 + rng.normal(size=(len(people), 40))
    config = dataclasses.replace(NOSS, aggregations=("mean",), classifiers=(("lda", (0.5,)),))
    config = dataclasses.replace(config, splits=SplitRule(num_splits=1))
    found = evaluate(task(split="clips", metric="accuracy"), utterances(people, people), embeddings(vectors), config)
    assert found.score > 0.95
    assert len(found.classes) == 1251


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": np.full((240, 10), np.nan)}, r"must be finite, 240 of 240 clips are not: 0\.wav, 1\.wav, .*4\.wav\."),
        ({"rows": np.zeros((239, 10))}, "from 0 to the 239 rows, got 0 to 240"),
        ({"starts": np.arange(240)}, r"got shapes \(240, 10\) and \(240,\) for 240 utterances"),
        ({"starts": np.zeros(241, int), "rows": np.zeros((0, 10))}, "all 240 clips failed: it has no windows"),
    ],
)
def test_embeddings_that_do_not_fit(change, message):
    labels, speakers, vectors = corpus()
    clips = embeddings(vectors)
    clips.__dict__.update(change)
    with pytest.raises(ValueError, match=message):
        evaluate(task(), utterances(labels, speakers), clips, QUICK)


def test_one_bad_window_names_its_clip():
    labels, speakers, vectors = corpus()
    clips = embeddings(vectors, counts=[3] * 240)
    clips.rows[3 * 7 + 1, 4] = np.inf
    with pytest.raises(ValueError, match=r"1 of 240 clips are not: 7\.wav\. Their network may have diverged"):
        evaluate(task(), utterances(labels, speakers), clips, QUICK)


def test_what_cannot_be_evaluated():
    labels, speakers, vectors = corpus()
    arguments = utterances(labels, speakers), embeddings(vectors)
    with pytest.raises(ValueError, match="jobs of 1 or more"):
        evaluate(task(), *arguments, jobs=0)
    with pytest.raises(ValueError, match=r"got 1 and verification\. For pairs there is noss\.trials"):
        evaluate(task("verification", "eer"), *arguments)
    with pytest.raises(ValueError, match=r"must have a setting to try, got none \(no classifier for this kind"):
        evaluate(task(), *arguments, dataclasses.replace(NOSS, classifiers=(("ridge", (1.0,)),)))
    with pytest.raises(ValueError, match=r"got none \(speaker: most speakers have one label"):
        evaluate(
            task(),
            utterances(np.where(speakers < "4", "a", "b"), speakers),
            embeddings(vectors),
            dataclasses.replace(NOSS, normalisations=("speaker",)),
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"aggregations": ()}, "aggregations must be of mean, max, mode, mean.std, got none"),
        ({"normalisations": ("zca",)}, "normalisations must be of none, l2, speaker, got zca"),
        ({"classifiers": (("lda", ()),)}, "classifiers must be of .*, got none"),
        ({"voting_rows": 0}, "voting_rows must be positive"),
    ],
)
def test_configs_that_are_none(wrong, message):
    with pytest.raises(ValueError, match=message):
        ProtocolConfig(**wrong)


def test_an_id_says_what_was_done():
    assert NOSS.id.startswith("noss-1-")
    assert REFEREE.id.startswith("referee-1-")
    changes = [{"splits": SplitRule(seed=1)}, {"refit": False}, {"aggregations": ("max", "mean")}, {"pooled": True}]
    assert len({NOSS.id, *(dataclasses.replace(NOSS, **change).id for change in changes)}) == 5


def test_scores_of_a_single_class():
    assert score("accuracy", np.array([1, 1]), np.array([1, 0]), 2) == 0.5
    assert np.isnan(score("ccc", np.ones(3), np.ones(3)))
