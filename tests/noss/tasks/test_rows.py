"""The table of tasks: every row is whole, and its published figures are those of the papers."""

import dataclasses
import inspect

import pytest

from noss import tasks
from noss.tasks import TASKS, Corpus, CorpusError, Task, load
from noss.tasks.figures import figures
from noss.tasks.task import METRICS
from trill.errors import TrillError

NAMED = {
    "voxceleb1", "voxforge", "speech_commands", "speech_commands_v1", "crema_d", "savee", "dementiabank",
    "crema_d_intra", "savee_intra", "speech_commands_intra",
    "timit_gender", "timit_age", "timit_dialect",
    "iemocap_emotion", "iemocap_valence", "iemocap_activation", "iemocap_dominance",
    "librispeech_gender", "slurp_intent", "fluent_intent", "aesdd", "cafe", "kathbath_speaker", "football_keywords",
    "cn_celeb",
}  # fmt: skip


def test_the_tasks_of_the_papers_are_there():
    assert set(TASKS) == NAMED
    assert all(TASKS[name].name == name for name in NAMED)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_row_is_whole(task):
    for field in ("title", "source", "licence", "layout"):
        assert getattr(task.corpus, field).strip()
    assert "http" in task.corpus.source
    assert task.label
    assert task.metric in METRICS[task.kind]
    assert (task.kind == "verification") == (task.read_trials is not None)
    assert not task.overlap or task.split == "canonical"
    assert task.folder is None
    assert task.figures, "every task comes from a paper"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_figures_are_in_the_unit_of_the_metric(task):
    for figure in task.figures:
        assert figure.source
        assert 1 < figure.score < 20 if task.metric == "mae" else 0 < figure.score < 1
    assert len({(figure.representation, figure.source) for figure in task.figures}) == len(task.figures)


@pytest.mark.parametrize(
    ("task", "representation", "source", "score"),
    [  # read off the papers once more
        ("voxceleb1", "opensmile compare16", "Shor", 0.023),
        ("voxforge", "trill finetuned", "Shor", 0.941),
        ("speech_commands", "trill distilled", "Shor", 0.749),
        ("crema_d", "trill layer19", "Shor", 0.678),
        ("savee", "yamnet layer10", "Shor", 0.623),
        ("dementiabank", "trill layer19", "Shor", 0.672),
        ("crema_d_intra", "trill layer19", "Shor", 0.570),
        ("savee_intra", "vggish fcn1", "Shor", 0.779),
        ("speech_commands_intra", "trill distilled", "Shor", 0.747),
        ("iemocap_emotion", "hubert-base", "Porjazovski", 0.671),
        ("cafe", "whisper-small", "Porjazovski", 0.191),
        ("slurp_intent", "wavlm-large", "Porjazovski", 0.724),
        ("cn_celeb", "wavcse", "wavCSE", 0.1687),
        ("crema_d", "frill", "FRILL", 0.713),
        ("speech_commands", "byol-s", "HEAR", 0.948),
    ],
)
def test_figures_are_those_of_the_papers(task, representation, source, score):
    found = [each.score for each in figures(task) if each.representation == representation and source in each.source]
    assert found == [score]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "mae"}, r"a metric of it \(classification: accuracy, uar, micro_f1; .*got classification and mae"),
        ({"kind": "guessing"}, r"got guessing and accuracy"),
        ({"kind": "verification"}, r"got verification and accuracy"),
        ({"name": "../../evil"}, r"lower-case letters, digits and _, got '\.\./\.\./evil'"),
        ({"name": ""}, r"lower-case letters, digits and _, got ''"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TASKS["crema_d"], **changes)


def test_a_task_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"must be one of aesdd, cafe, .*, got 'cremad'"):
        load("cremad", "/")


def test_a_new_task_is_a_row(tmp_path):
    from noss.tasks.files import by_name

    reader = by_name(r"(?P<who>\w+)_(?P<mood>[hs])\.wav", "{mood}", "{who}", {"h": "happy", "s": "sad"})
    task = Task("mine", Corpus("Mine", "http://example.org", "CC0", "anna_h.wav"), "mood", reader)
    for name in ("anna_h.wav", "Berta_S.WAV"):
        (tmp_path / name).touch()
    assert [(each.label, each.speaker) for each in load(task, tmp_path)] == [("sad", "berta"), ("happy", "anna")]


def test_errors_are_ours():
    assert issubclass(CorpusError, TrillError)
    assert issubclass(CorpusError, ValueError)


def test_public_names_exist():
    assert all(hasattr(tasks, name) for name in tasks.__all__)
    assert list(inspect.signature(load).parameters) == ["task", "folder", "partial"]
