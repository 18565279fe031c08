"""The effect of a model against least squares by hand, and the table of the paper."""

import numpy as np
import pytest

from noss.effects import model_effects
from tests.oracles import statistics as oracle

# Shor et al. 2020, arXiv:2002.12764, accuracy in %: VoxCeleb1, VoxForge, Speech Commands, CREMA-D, SAVEE, DementiaBank;
# within speakers CREMA-D, SAVEE, Speech Commands.
PAPER = {
    "mel": (15.5, 79.2, 47.7, 52.8, 55.6, 67.7, 47.7, 77.2, 73.3),
    "openSMILE": (2.3, 78.0, 36.5, 53.7, 62.6, 68.8, 47.6, 67.8, 72.2),
    "random": (12.0, 73.0, 42.0, 52.1, 48.6, 67.9, 43.4, 73.9, 69.0),
    "YAMNet top": (13.7, 67.0, 40.7, 52.2, 45.4, 64.8, 39.1, 64.4, 70.3),
    "YAMNet layer 10": (41.5, 86.1, 73.1, 66.4, 62.3, 70.0, 50.8, 79.2, 77.6),
    "VGGish top": (14.1, 80.8, 28.3, 51.3, 49.8, 68.3, 43.1, 68.7, 70.2),
    "VGGish FCN1": (33.8, 85.1, 52.7, 55.7, 57.7, 68.7, 50.5, 77.9, 73.1),
    "TRILL top": (33.9, 83.8, 60.4, 64.9, 53.7, 68.2, 56.8, 83.9, 72.2),
    "TRILL layer 19": (48.9, 88.1, 74.0, 67.8, 67.8, 67.2, 57.0, 84.7, 74.7),
    "TRILL distilled": (44.6, 83.4, 74.9, 68.1, 60.0, 68.1, 56.8, 84.7, 74.7),
    "TRILL fine-tuned": (44.6, 94.1, 91.2, 69.5, 68.6, 73.1),  # not within speakers
}


def paper(num_tasks, without=("TRILL fine-tuned",)):
    rows = [
        (score, model, task)
        for model, scores in PAPER.items()
        for task, score in enumerate(scores[:num_tasks])
        if model not in without
    ]
    return tuple(zip(*rows, strict=True))


@pytest.mark.parametrize("num_tasks", [6, 9])
@pytest.mark.parametrize("without", [(), ("TRILL fine-tuned",)])
def test_the_table_of_the_paper_by_hand(num_tasks, without):
    """With all models on nine tasks three cells are missing."""
    scores, models, tasks = paper(num_tasks, without)
    found = model_effects(scores, models, tasks)
    effects, errors, r_squared = oracle.regression(scores, models, tasks)
    assert {e.model: e.effect for e in found.effects} == pytest.approx(effects)
    assert {e.model: e.standard_error for e in found.effects} == pytest.approx(errors)
    assert found.r_squared == pytest.approx(r_squared)
    assert sum(e.effect for e in found.effects) == pytest.approx(0)


@pytest.mark.parametrize(
    ("num_tasks", "without", "r_squared"),
    [
        (6, (), 0.879),
        (6, ("TRILL fine-tuned",), 0.889),
        (9, ("TRILL fine-tuned",), 0.898),
        (9, ("TRILL fine-tuned", "TRILL distilled"), 0.909),
    ],
)
def test_model_and_task_explain_what_the_paper_says(num_tasks, without, r_squared):
    """It has R² = 91 %, and does not say of which cells: nine frozen models on nine tasks come nearest."""
    found = model_effects(*paper(num_tasks, without))
    assert found.r_squared == pytest.approx(r_squared, abs=0.0005)
    assert found.effects[0 if without else 1].model == "TRILL layer 19"
    assert found.effects[-1].model == "YAMNet top"


def test_effects_of_a_full_table_are_differences_of_means():
    found = model_effects(*paper(9), reference="mel")
    means = {model: np.mean(PAPER[model]) for model in PAPER}
    for e in found.effects:
        assert e.effect == pytest.approx(means[e.model] - means["mel"])
        assert e.low <= e.effect <= e.high
        assert (e.standard_error > 0) == (e.model != "mel")
    assert found.effects[0].low > 0
    assert (found.reference, found.degrees, found.num_tasks, found.num_scores) == ("mel", 72, 9, 90)


def test_several_scores_of_a_cell():
    rng = np.random.default_rng(0)
    models, tasks = np.repeat([*"abc"], 30), np.tile([*"xyz"], 30)
    scores = np.select([models == "a", models == "b"], [2, 0], -2) + np.where(tasks == "x", 10, 0)
    found = model_effects(scores + 0.1 * rng.normal(size=90), models, tasks)
    assert [e.model for e in found.effects] == [*"abc"]
    assert [e.effect for e in found.effects] == pytest.approx([2, 0, -2], abs=0.1)
    assert found.residual == pytest.approx(0.1, rel=0.2)
    assert found.r_squared > 0.999


def test_a_chain_of_tasks_is_enough():
    """The first and the last share no task; the effects are exact."""
    cells = [("a", "1"), ("a", "2"), ("b", "2"), ("b", "3"), ("c", "3"), ("c", "4"), ("c", "2"), ("b", "4"), ("d", "4")]
    models, tasks = zip(*cells, strict=True)
    scores = ["abcd".index(model) + 10 * int(task) for model, task in cells]
    found = model_effects(scores, models, tasks, reference="a")
    assert {e.model: e.effect for e in found.effects} == pytest.approx({"a": 0, "b": 1, "c": 2, "d": 3}, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": [*"aabbcc"], "tasks": [*"xyxyzw"]}, r"must share tasks, a, b share none with c\. Score one of"),
        ({"models": [*"aaaaab"], "tasks": [*"uvwxyz"]}, "must share tasks, a share none with b"),
        ({"models": [*"aab"], "tasks": [*"xyx"], "scores": [1, 2, 4]}, "the 3 coefficients of 2 models and 2 tasks"),
        ({"scores": [1] * 6}, r"not all equal, got 6 of 1 values\. Add tasks"),
        ({"scores": [1, 2, 3, 4, 5, np.nan]}, r"scores must be .* 1 of them not finite\. Leave out what has no score"),
        ({"scores": [1, 2]}, r"needs a model and a task, got 2, 6 and 6\. Leave out empty cells"),
        ({"reference": "z"}, r"one of the models, got 'z'\. There are a, b"),
        ({"level": 0}, r"level must be in \(0, 1\), got 0"),
    ],
)
def test_what_has_no_effects(change, message):
    with pytest.raises(ValueError, match=message):
        model_effects(**{"scores": range(6), "models": [*"aaabbb"], "tasks": [*"xyzxyz"]} | change)
