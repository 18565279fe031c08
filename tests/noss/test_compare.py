"""Two representations: the same clips, one answer, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from noss.cli import main
from noss.compare import compare, in_words, labels
from noss.config import NOSS, REFEREE
from noss.curves import curve_config
from noss.differences import compare as compare_predictions
from noss.evaluation import interval
from noss.metrics import METRICS
from noss.paired import averaged, mean, samples, verdict
from noss.results import load_all
from noss.statistics import Interval
from tests.noss.report.made import SKILLS, evaluation, put, suite


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return load_all(suite(tmp_path_factory.mktemp("results")))


def of(results, representation, task):
    return next(
        r for r in results if (r.key.representation, r.key.task, r.key.setting) == (representation, task, "")
    ).evaluation


@pytest.mark.parametrize("task", ["emotion", "age", "verify"])
def test_a_difference_is_that_of_the_statistics(results, task):
    a, b = (of(results, name, task) for name in ("yamnet", "mfcc"))
    found = compare(results, "yamnet", "mfcc")
    row = next(each for each in found.tasks if each.task == task)
    truth, speakers = a.truth, np.array(a.speakers)
    kept = np.arange(len(truth))
    wanted = compare_predictions(
        truth[kept],
        a.outcomes[0].predicted[kept],
        b.outcomes[0].predicted[kept],
        speakers if a.pairs is None else speakers[a.pairs],
        a.metric,
    ).difference
    assert dataclasses.replace(row.difference, seed=0) == wanted
    assert (row.score_a, row.score_b) == pytest.approx((a.score, b.score), abs=1e-6)


def test_one_score_has_the_interval_it_has_elsewhere(results):
    judged = of(results, "mfcc", "keyword")
    assert samples([judged])[0].interval() == interval(judged)


def test_lower_is_better_where_it_is(results):
    found = {each.task: each for each in compare(results, "trill", "mfcc").tasks}
    assert found["age"].difference.value < 0  # fewer years off
    assert found["age"].gain == 1
    assert {task: each.gain for task, each in found.items() if each.task != "few"} == {
        "age": 1,
        "emotion": 1,
        "keyword": 1,
        "verify": 0,
    }
    turned = {each.task: each for each in compare(results, "mfcc", "trill").tasks}
    assert all(turned[task].gain == -each.gain for task, each in found.items())


def test_years_are_not_averaged_with_shares(results):
    found = compare(results, "trill", "mfcc")
    by_task = {each.task: each.difference.value * (-1 if each.metric == "eer" else 1) for each in found.tasks}
    del by_task["age"]
    assert found.num_averaged == len(by_task) == 4
    assert found.mean.value == pytest.approx(np.mean(list(by_task.values())))
    assert found.sentence.startswith("trill-1-0123abcd:embedding is better than mfcc by .")
    assert "in the mean over 4 tasks (1 of another unit left out of the mean): 3 better, 0 worse, 2" in found.sentence
    assert averaged(["mae", "mae"]) == {"mae"}


def test_turning_round_changes_only_the_sign(results):
    one, other = compare(results, "yamnet", "mfcc").mean, compare(results, "mfcc", "yamnet").mean
    assert other.value == pytest.approx(-one.value)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=0.002)


def test_a_clip_that_failed_for_one_is_left_out_for_both():
    whole = evaluation(task="emotion", skill=0.9, splits=2)
    items = [np.delete(each.items, [3, 50]) for each in whole.outcomes]
    part = dataclasses.replace(
        whole,
        outcomes=tuple(
            dataclasses.replace(each, items=some, predicted=each.predicted[some])
            for each, some in zip(whole.outcomes, items, strict=True)
        ),
    )
    a, b = samples([whole, part], rounds=100)
    np.testing.assert_array_equal(a.values, b.values)
    assert len(a.draws.codes) == 2 * (len(whole.names) - 2)


def test_one_speaker_at_a_time_is_compared_by_speaker():
    judged = evaluation(task="alone", splits=6)
    alone = dataclasses.replace(
        judged,
        split="within speaker",
        outcomes=tuple(dataclasses.replace(e, speaker=f"s{n}") for n, e in enumerate(judged.outcomes)),
    )
    (sample,) = samples([alone], rounds=200)
    assert sample.interval() == interval(alone, rounds=200)
    assert sample.draws.num_speakers == 6


def test_what_is_very_wide_gets_fewer_rounds(monkeypatch):
    monkeypatch.setattr("noss.paired.BUDGET", 1)
    (sample,) = samples([evaluation("verification", num_speakers=6, clips=3)])
    assert sample.interval().rounds == 1000


def test_very_many_pairs_are_drawn_in_levels():
    """The score stays what it is, the interval nearly."""
    judged = evaluation("verification", num_speakers=20, clips=6, skill=0.6)
    assert len(judged.truth) > 4096
    (sample,) = samples([judged], rounds=1000)
    found, exact = sample.interval(), interval(judged, rounds=1000)
    assert found.value == judged.score
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.002)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_version": "2"}, "of one task version compare, got '1' and '2'"),
        ({"protocol": "other"}, "of one protocol compare"),
        ({"classes": ("a", "b", "c")}, "of one classes compare"),
        ({"truth": np.zeros(108, int)}, "by the same labels compare"),
        ({"names": tuple(map(str, range(108)))}, "none was tested in both"),
    ],
)
def test_samples_are_of_one_question(change, message):
    judged = evaluation()
    with pytest.raises(ValueError, match=message):
        samples([judged, dataclasses.replace(judged, **change)], rounds=10)


def test_tasks_of_the_same_speakers_are_drawn_together():
    """The same task twice is no surer than once; with as many other speakers it is, by the root of two."""
    one, other = (
        samples([evaluation(skill=0.6, speakers=tuple(f"{name}{n // 9}" for n in range(108)))])[0] for name in "xy"
    )
    once, twice, apart = (found.high - found.low for found in map(mean, ([one], [one, one], [one, other])))
    assert twice == pytest.approx(once)
    assert apart == pytest.approx(once / 2**0.5, rel=0.08)
    assert mean([one, other]).num_speakers == 24


def test_the_mean_of_one_task_is_that_task():
    (few,) = samples([evaluation(skill=0.6, num_speakers=6, clips=60)])
    alone, single = mean([few]), few.interval()
    assert alone.value == single.value
    assert alone.high - alone.low == pytest.approx(single.high - single.low, rel=0.05)


def test_a_mean_over_few_speakers_says_so():
    (few,) = samples([evaluation(num_speakers=3, clips=30)])
    assert "as little as 3 speakers" in mean([few]).vacuous
    with pytest.raises(ValueError, match="needs a task or more"):
        mean([])


@settings(max_examples=20, deadline=None)
@given(low=st.floats(-1, 1), width=st.floats(0, 1), metric=st.sampled_from(sorted(METRICS)))
def test_a_verdict_needs_an_interval_without_nought(low, width, metric):
    found = Interval(low + width / 2, low, low + width, 0.95, 20, 100, 100, 0)
    assert (verdict(found, metric) == 0) == (low <= 0 <= low + width)
    assert verdict(dataclasses.replace(found, vacuous="few"), metric) == 0


def test_words_for_each_outcome():
    lead = Interval(0.03, 0.01, 0.05, 0.95, 20, 100, 100, 0)
    assert in_words("a", "b", dataclasses.replace(lead, value=-0.03, low=-0.05, high=-0.01), 2, [1, -1]) == (
        "b is better than a by .030 [.010, .050] in the mean over 2 tasks: 1 better, 1 worse, 0 undecided."
    )
    assert "a and b cannot be told apart: +.030 [−.010, +.050] on one task" in in_words(
        "a", "b", dataclasses.replace(lead, low=-0.01), 1, [0]
    )
    assert "cannot be compared" in in_words("a", "b", dataclasses.replace(lead, vacuous="3 speakers"), 1, [0])
    assert "tasks of different units" in in_words("a", "b", None, 0, [0])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("trill", "nothing", "got 'nothing' for none. There are mfcc, trill-1-0123abcd:embedding, yamnet"),
        ("m", "trill", "got 'm' for 3"),
        ("mfcc", "mfcc", "got mfcc twice"),
    ],
)
def test_a_name_means_one(results, a, b, message):
    with pytest.raises(ValueError, match=message):
        compare(results, a, b)


def test_what_cannot_be_compared_is_refused(tmp_path):
    put(tmp_path, evaluation(task="one"), "a")
    put(tmp_path, evaluation(task="two"), "b")
    put(tmp_path, evaluation(task="one", protocol=NOSS), "c")
    put(tmp_path, evaluation(task="one"), "d", sounds="others")
    put(tmp_path, evaluation(task="one", task_version="2"), "e")
    found = load_all(tmp_path)
    for other, message in (
        ("b", "share none by referee.*one: only A has a score; two: only B has a score"),
        ("c", "by one protocol compare, got referee-.* for a and noss-.* for c"),
        ("d", "one: its sounds differ"),
        ("e", "one: its versions differ"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(found, "a", other)


def test_curves_and_leakage_by_protocols_of_their_own_are_no_choice(tmp_path):
    few = curve_config(REFEREE)
    for name, skill in (("a", 0.9), ("b", 0.5), ("c", 0.5)):
        put(tmp_path, evaluation(skill=skill, protocol=few), name, setting="5 a class")
        if name != "c":
            put(tmp_path, evaluation(skill=skill), name)
    found = load_all(tmp_path)
    assert compare(found, "a", "b").protocol == REFEREE.id
    with pytest.raises(ValueError, match="got 'c' for none"):
        compare(found, "a", "c")


def test_of_several_protocols_one_is_chosen(tmp_path):
    for name, skill in (("a", 0.9), ("b", 0.5)):
        for protocol in (NOSS, REFEREE):
            put(tmp_path, evaluation(skill=skill, protocol=protocol), name)
    found = load_all(tmp_path)
    with pytest.raises(ValueError, match=r"judged by noss-.*, referee-.*: --protocol"):
        compare(found, "a", "b")
    assert compare(found, "a", "b", protocol="noss").protocol == NOSS.id


def test_the_same_name_with_other_weights(tmp_path):
    keys = [
        put(tmp_path, evaluation(skill=skill), "a", fingerprint=finger)
        for finger, skill in (("0123456789", 0.9), ("abcdefghij", 0.5))
    ]
    assert list(labels(keys).values()) == ["a (01234567)", "a (abcdefgh)"]
    found = compare(load_all(tmp_path), "0123", "abcd")
    assert (found.a, found.b) == ("a (01234567)", "a (abcdefgh)")
    assert found.mean.value > 0


def test_what_has_no_score_is_left_out(tmp_path):
    for name in ("a", "b"):
        put(tmp_path, evaluation(task="one", skill=0.9), name)
        put(tmp_path, evaluation(task="alone", speakers=("s",) * 108), name)
    found = compare(load_all(tmp_path), "a", "b")
    assert [each.task for each in found.tasks] == ["one"]
    assert "needs two of them or more" in found.left_out["alone"]


def test_on_the_command_line(tmp_path):
    suite(tmp_path / "all", SKILLS)
    done = CliRunner().invoke(main, ["compare", str(tmp_path / "all"), "trill", "mfcc"])
    assert done.exit_code == 0, done.output
    assert "A: trill-1-0123abcd:embedding" in done.output
    assert "emotion" in done.output
    assert done.output.splitlines()[-1].startswith("trill-1-0123abcd:embedding is better than mfcc by .")
    put(tmp_path / "other", evaluation(task="emotion", classes=("angry", "calm", "sad")), "new")
    put(tmp_path / "mine", evaluation(task="emotion", skill=0.4), "old")
    done = CliRunner().invoke(
        main, ["compare", str(tmp_path / "mine"), "old", "new", "--other", str(tmp_path / "other"), "--json"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["sentence"].startswith("new is better than old by")
    assert found["tasks"][0]["gain"] == -1
    assert found["mean"]["low"] < found["mean"]["value"] < 0
