"""The report of made-up results: its numbers, its parts, and that a stranger's text stays text."""

import csv
import dataclasses
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from noss.cli import main
from noss.config import NOSS, REFEREE
from noss.curves import curve_config
from noss.evaluation import interval
from noss.leakage import TRAITS, leakage_config
from noss.report import collect, page, tables, write
from noss.results import load_all
from tests.noss.report.made import HOSTILE, evaluation, put, suite

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Tags balanced, attributes kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def ids(self):
        return {attributes["id"] for _, attributes in self.tags if "id" in attributes}

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return suite(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def section(results):
    (found,) = collect.sections(load_all(results), quiet=True)
    return found


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    done = CliRunner().invoke(main, ["report", str(results), "-o", str(folder), "-q"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "report.md", "scores.csv"]
    return folder


@pytest.fixture(scope="module")
def html(report):
    return (report / "index.html").read_text()


def html_of(folder, **options):
    return page.page(collect.sections(load_all(folder), rounds=200, quiet=True), **options)


# Numbers.


def test_the_csv_holds_the_results(results, report):
    with (report / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = load_all(results)
    assert len(rows) == len(found)
    by_key = {(each.key.representation, each.key.task, each.key.setting): each for each in found}
    for row in rows:
        result = by_key[row["representation"], row["task"], row["setting"]]
        assert float(row["score"]) == result.evaluation.score
        assert row["metric"] == result.evaluation.metric
        assert row["protocol"] == REFEREE.id
        assert row["licence"] == result.about.get("licence", "")
        wanted = interval(result.evaluation)
        assert (float(row["low"]), float(row["high"])) == (wanted.low, wanted.high)
        assert row["vacuous"] == wanted.vacuous
        assert int(row["num_speakers"]) == wanted.num_speakers
    assert {row["vacuous"] for row in rows if row["task"] == "few"} == {"4 speakers cannot say how others would score"}
    assert {row["price"] for row in rows if row["setting"] == "paper selection"} == {"0.0123"}
    assert {row["higher_is_better"] for row in rows if row["metric"] in ("mae", "eer")} == {"False"}


def test_the_best_is_the_lowest_error(section):
    for task in ("age", "verify"):
        scores = {row: cell.score for (row, name), cell in section.cells.items() if name == task}
        (best,) = (row for (row, name), cell in section.cells.items() if name == task and cell.standing == "best")
        assert scores[best] == min(scores.values())
    assert [row.short for row in section.rows] == ["trill-1", "yamnet", "mfcc"]


def test_the_mean_counts_an_error_as_one_less_it(section):
    for row in section.rows:
        cells = {task: section.cells[row.label, task].score for task in ("emotion", "few", "keyword", "verify")}
        wanted = np.mean([cells["emotion"], cells["few"], cells["keyword"], 1 - cells["verify"]])
        assert section.ranking.means[row.label].interval.value == pytest.approx(wanted, abs=1e-6)


def test_standings_are_paired_by_speaker(section):
    standing = {(row, task): cell.standing for (row, task), cell in section.cells.items()}
    assert standing["mfcc", "keyword"] == "behind"
    assert {standing[row, "few"] for row in ("mfcc", "yamnet")} == {"level"}  # of four speakers nothing can be said
    mean = section.ranking.means
    assert [mean[row.label].standing for row in section.rows] == ["best", "behind", "behind"]


def test_twins_cannot_be_told_apart(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        put(tmp_path, evaluation(skill=0.7, seed=seed), name)
    (found,) = collect.sections(load_all(tmp_path), quiet=True)
    assert {cell.standing for cell in found.cells.values()} == {"best", "level"}
    assert "cannot be told apart" in found.ranking.lead


@pytest.mark.parametrize(
    ("judged", "chance"),
    [
        (evaluation(), 1 / 3),
        (evaluation(metric="accuracy", truth=np.array([0] * 80 + [1] * 28)), 80 / 108),
        (evaluation("verification"), 0.5),
        (evaluation("regression", metric="ccc"), 0),
        (evaluation("regression", truth=np.arange(108.0)), 27),
    ],
)
def test_what_one_scores_who_hears_nothing(judged, chance):
    assert collect.chance_of(judged)[0] == pytest.approx(chance)


def test_curves_and_leakage_are_of_their_settings(section):
    points = section.curves["emotion"]["mfcc"]
    assert [point.size for point in points] == [1, 2, 5, 10]
    assert all(point.low <= point.score <= point.high and point.draws == 5 for point in points)
    assert {(leak.what, leak.task, round(leak.chance, 3)) for leak in section.leaks} == {
        (what, task, chance) for what, chance in (("speaker", 0.083), ("sex", 0.5)) for task in ("emotion", "keyword")
    }


def test_curves_and_leakage_by_protocols_of_their_own_find_their_section(tmp_path):
    """As noss run keeps them: nothing to choose in a curve, random splits for who speaks."""
    few, speaker = curve_config(REFEREE), leakage_config(TRAITS[0], REFEREE)
    assert len({few.id, speaker.id, REFEREE.id}) == 3
    put(tmp_path, evaluation(), "a")
    curve = evaluation(protocol=few, splits=4)
    named = [dataclasses.replace(e, name=f"fold {n % 2}, draw {n // 2}") for n, e in enumerate(curve.outcomes)]
    put(tmp_path, dataclasses.replace(curve, outcomes=tuple(named)), "a", setting="5 a class")
    put(tmp_path, evaluation(protocol=speaker), "a", setting="leakage speaker")
    put(tmp_path, evaluation(protocol=curve_config(NOSS)), "a", setting="5 a class")
    with pytest.warns(UserWarning, match="noss-fixed.* belongs to no plain score"):
        (found,) = collect.sections(load_all(tmp_path), rounds=200, quiet=True)
    (point,) = found.curves["made"]["a"]
    assert point.draws == 2
    assert point.low <= point.score <= point.high
    assert [leak.what for leak in found.leaks] == ["speaker"]
    assert len(found.results) == 3


# The page.


def test_every_part_is_there(html):
    found = Page(html)
    wanted = {"scores", "tasks", "effect", "curves", "cost", "leakage", "confusion", "who", "know"}
    assert found.ids() == wanted
    linked = {attributes["href"] for tag, attributes in found.tags if tag == "a"}
    assert linked == {f"#{each}" for each in wanted}
    for words in (
        "trill-1 is better than yamnet by .",
        "3 representations on 5 tasks: 668 clips, 4 to 30 speakers tested a task.",
        "duplicates",
        "interval nearly vacuous",
        "the paper's way would look better by .012",
        "There is no map:",
        "mae, lower is better",
    ):
        assert words in found.text, words


def test_pictures_are_whole_and_have_a_name(html):
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(pictures) > 20
    for text in pictures:
        picture = ElementTree.fromstring(text)  # noqa: S314 ours
        assert picture.get("aria-hidden") or len(picture.get("aria-label")) > 20
        assert "nan" not in text
        assert "inf" not in text.replace("info", "")


def test_nothing_is_fetched(html):
    for tag, attributes in Page(html).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "data", "srcset", "action", "xlink:href"):
                assert value.startswith("#"), (tag, name, value)
    assert "url(" not in html
    assert "@import" not in html
    (policy,) = (a["content"] for tag, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_script_is_the_one_that_may_run(html):
    import base64
    import hashlib

    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"sha256-{digest}" in html


def test_text_of_strangers_stays_text(html, report):
    found = Page(html)
    assert [attributes for tag, attributes in found.tags if tag == "script"] == [{}]
    assert HOSTILE.split("|")[0] in found.text  # the label, the licence, the reason why a clip failed
    assert "<script>alert" not in html
    markdown = (report / "report.md").read_text()
    assert "<script" not in markdown
    assert "](http" not in markdown
    tables_ = [line for line in markdown.splitlines() if line.startswith("|")]
    widths = {
        line.count("|") - line.count("\\|") for line in tables_ if "fingerprint" in line or "trill-1-0123" in line
    }
    assert len(widths) == 1  # the | of the licence began no cell


@pytest.mark.parametrize("where", ["representation", "protocol", "versions"])
def test_other_places_for_strangers(tmp_path, where):
    protocol = dataclasses.replace(REFEREE, name=HOSTILE) if where == "protocol" else REFEREE
    put(tmp_path, evaluation(protocol=protocol), HOSTILE if where == "representation" else "a")
    if where == "versions":
        (path,) = tmp_path.glob("*.json")
        whole = json.loads(path.read_text())
        whole["result"]["versions"][HOSTILE] = HOSTILE
        from noss import results

        whole["sha256"] = results._hash(whole["result"])
        path.write_text(json.dumps(whole))
    text = html_of(tmp_path)
    assert [a for tag, a in Page(text).tags if tag == "script"] == [{}]
    assert HOSTILE in Page(text).text


def test_made_up_sounds_are_announced(tmp_path, html):
    assert "SYNTHETIC" not in html
    put(tmp_path, evaluation(), "a", about={"synthetic": True})
    assert "SYNTHETIC" in html_of(tmp_path)
    write(tmp_path, tmp_path / "report", quiet=True, rounds=200)
    assert "**SYNTHETIC" in (tmp_path / "report/report.md").read_text()


def test_protocols_do_not_mix(tmp_path):
    put(tmp_path, evaluation(skill=0.9), "a")
    put(tmp_path, evaluation(skill=0.5), "b")
    put(tmp_path, evaluation(skill=0.7, protocol=NOSS), "a")
    found = collect.sections(load_all(tmp_path), rounds=200, quiet=True)
    assert [each.protocol for each in found] == [NOSS.id, REFEREE.id]
    assert [len(each.rows) for each in found] == [1, 2]
    text = Page(page.page(found))
    assert {"scores-1", "scores-2"} <= text.ids()
    assert "a stands alone" in text.text
    assert tables.markdown(found).count("# NOSS report, protocol") == 2


@pytest.mark.parametrize(
    "fill",
    [
        pytest.param([("a", evaluation())], id="one of one"),
        pytest.param([("a", evaluation("regression")), ("b", evaluation("regression", skill=0.2))], id="numbers alone"),
        pytest.param([("a", evaluation("verification", num_speakers=5, clips=3))], id="pairs alone"),
        pytest.param(
            [("a", evaluation(task="one")), ("b", evaluation(task="two"))], id="no task shared: neither mean nor effect"
        ),
        pytest.param(
            [("a", evaluation()), ("b", evaluation(score=None, scores={"uar": None}))], id="a score is not defined"
        ),
        pytest.param([("a", evaluation(score=None)), ("b", evaluation(score=None))], id="no score is"),
        pytest.param(
            [("a", evaluation(speakers=("s",) * 108)), ("b", evaluation(speakers=("s",) * 108))], id="one speaker"
        ),
        pytest.param([("a", evaluation(skill=9)), ("b", evaluation(skill=9))], id="all right"),
    ],
)
def test_small_reports(tmp_path, fill):
    for name, judged in fill:
        put(tmp_path, judged, name)
    assert write(tmp_path, tmp_path / "out", quiet=True, rounds=200).exists()
    Page((tmp_path / "out/index.html").read_text())


def test_missing_cells_stand_empty_and_last(tmp_path):
    for name, skill, names in (("a", 0.9, "xyz"), ("b", 0.5, "xyz"), ("c", 0.99, "xy")):
        for task in names:
            put(tmp_path, evaluation(task=task, skill=skill), name)
    (found,) = collect.sections(load_all(tmp_path), rounds=200, quiet=True)
    assert [row.label for row in found.rows] == ["a", "b", "c"]
    assert set(found.ranking.means) == {"a", "b"}
    assert found.ranking.effects.effects[0].model == "c"
    assert "A mean stands only where all its tasks have a score" in tables.mean_note(found)


def test_a_row_on_fewer_clips_is_not_compared(tmp_path):
    put(tmp_path, evaluation(skill=0.9), "a")
    whole = evaluation(skill=0.5)
    (outcome,) = whole.outcomes
    half = dataclasses.replace(outcome, items=outcome.items[:50], predicted=outcome.predicted[:50])
    put(tmp_path, dataclasses.replace(whole, outcomes=(half,)), "b")
    (found,) = collect.sections(load_all(tmp_path), rounds=200, quiet=True)
    assert found.cells["b", "made"].standing == ""
    assert set(found.ranking.means) == {"a"}


def test_old_sounds_are_left_out_and_told(tmp_path):
    for name in ("a", "b"):
        put(tmp_path, evaluation(), name)
    for number in range(4):  # written last, each for one representation only
        put(tmp_path, evaluation(skill=0.1), "a", sounds=f"old {number}")
    (found,) = collect.sections(load_all(tmp_path), rounds=200, quiet=True)
    assert found.cells["a", "made"].score == evaluation().score
    assert [(each.what, each.who) for each in found.issues] == [("left out", ("a",))]
    assert len(tables.scores_csv([found]).splitlines()) == 1 + 2 + 4


def test_other_weights_are_another_row(tmp_path):
    put(tmp_path, evaluation(), "a", fingerprint="0123456789")
    put(tmp_path, evaluation(skill=0.5), "a", fingerprint="abcdefghij")
    (found,) = collect.sections(load_all(tmp_path), rounds=200, quiet=True)
    assert [row.label for row in found.rows] == ["a (01234567)", "a (abcdefgh)"]


def test_very_many_classes_are_pooled_and_representations_shown(tmp_path):
    names = [f"person {n}" for n in range(1251)]
    truth = np.arange(2502) % 1251
    for number in range(30):
        judged = evaluation(num_speakers=12, clips=9, skill=0.3 + number / 60, seed=number)
        put(tmp_path, judged, f"model {number}")
    heard = np.where(truth == 7, 8, truth)
    many = evaluation(task="who", classes=names, num_speakers=1251, clips=2, truth=truth)
    many = dataclasses.replace(many, outcomes=(dataclasses.replace(many.outcomes[0], predicted=heard),))
    put(tmp_path, many, "model 29")
    text = html_of(tmp_path, of={REFEREE.id: "model 29"})
    found = Page(text)
    assert "person 7 person 8 2 of 2" in found.text
    assert len(text) < 1_000_000


def test_results_without_scores_are_refused(tmp_path):
    with pytest.raises(ValueError, match="got 0 results and none plain"):
        write(tmp_path, tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
    put(tmp_path, evaluation(), "a", setting="5 a class")
    with pytest.raises(ValueError, match="got 1 results and none plain"):
        write(tmp_path, tmp_path / "out", quiet=True)


def test_who_is_shown_can_be_chosen(results, tmp_path):
    write(results, tmp_path, of="mfc", quiet=True, rounds=100)
    assert "By mfcc, over the test parts" in (tmp_path / "index.html").read_text()
    with pytest.raises(ValueError, match=r"got 'nobody'\. There are trill-1"):
        write(results, tmp_path, of="nobody", quiet=True, rounds=100)
    with pytest.raises(ValueError, match="for trill-1-0123abcd:embedding, yamnet, mfcc"):
        write(results, tmp_path, of="m", quiet=True, rounds=100)


def test_a_failed_report_leaves_the_old_one(results, tmp_path, monkeypatch):
    write(results, tmp_path, quiet=True, rounds=100)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(page, "page", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(results, tmp_path, quiet=True, rounds=200)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
