"""Tasks of one's own: what a manifest may say, and what is refused."""

import json
import pickle
from pathlib import Path

import pytest

from noss.tasks import CorpusError, load, manifest_task, pack_tasks

ROWS = "path,label,speaker\na.wav,happy,anna\nb.wav,sad,berta\n"


@pytest.fixture
def manifest(tmp_path):
    """A function that writes a manifest, and the sounds a.wav, b.wav and sub/c.wav beside it."""
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def write(text, name="moods.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def read(task, *fields):
    return [tuple(getattr(each, field) for field in fields) for each in load(task)]


def test_a_manifest_is_a_task(manifest, tmp_path):
    task = manifest_task(manifest(ROWS))
    assert (task.name, task.kind, task.metric, task.split, task.folder) == (
        "moods", "classification", "uar", "speakers", tmp_path,
    )  # fmt: skip
    assert read(task, "path", "name", "label", "speaker", "split", "start", "end") == [
        (tmp_path / "a.wav", "a.wav", "happy", "anna", None, 0.0, None),
        (tmp_path / "b.wav", "b.wav", "sad", "berta", None, 0.0, None),
    ]
    assert load(pickle.loads(pickle.dumps(task))) == load(task)  # noqa: S301


def test_rows_keep_their_order(manifest):
    """The folds of scikit-learn depend on it, and so does agreement with others' scores."""
    assert read(manifest_task(manifest("path,label,speaker\nsub/c.wav,x,1\na.wav,y,2\n")), "name") == [
        ("sub/c.wav",), ("a.wav",),
    ]  # fmt: skip


def test_columns_are_chosen(manifest):
    path = manifest("path,mood,who,age\na.wav,happy,anna,31\nb.wav,sad,berta,4.5\n")
    task = manifest_task(path, label="mood", group="who", metric="accuracy")
    assert read(task, "label", "speaker") == [("happy", "anna"), ("sad", "berta")]
    ages = manifest_task(path, label="age", group="who", kind="regression")
    assert (ages.metric, read(ages, "label")) == ("mae", [(31.0,), (4.5,)])


def test_unknown_speakers_are_split_by_clip(manifest):
    task = manifest_task(manifest("path,label\na.wav,x\nb.wav,y\n"), group=None)
    assert task.split == "clips"
    assert read(task, "speaker") == [("?a.wav",), ("?b.wav",)]


def test_a_split_column_is_canonical(manifest):
    rows = "path,label,speaker,split\na.wav,x,1,Train\nb.wav,y,2,test\nsub/c.wav,y,3, validation\n"
    task = manifest_task(manifest(rows))
    assert task.split == "canonical"
    assert read(task, "split") == [("train",), ("test",), ("dev",)]
    assert manifest_task(manifest(rows), split="speakers").split == "speakers"
    empty = "path,label,speaker,split\na.wav,x,1,\nb.wav,y,2,\n"
    assert manifest_task(manifest(empty)).split == "speakers"


def test_who_is_identified_stands_in_train_and_test(manifest):
    rows = "path,label,speaker,split\na.wav,anna,anna,train\nb.wav,anna,anna,test\nsub/c.wav,berta,berta,test\n"
    assert len(load(manifest_task(manifest(rows)))) == 3


def test_parts_of_files_have_names_of_their_own(manifest):
    rows = "path,label,speaker,start,end\na.wav,x,1,0,1.5\na.wav,y,1,1.5,\nb.wav,y,2,,\n"
    assert read(manifest_task(manifest(rows)), "name", "start", "end") == [
        ("a.wav#0.0", 0.0, 1.5),
        ("a.wav#1.5", 1.5, None),
        ("b.wav", 0.0, None),
    ]


def test_paths_are_normal_and_may_be_absolute_within_the_root(manifest, tmp_path):
    path = manifest(f"path,label,speaker\nsub/../a.wav,x,1\n{tmp_path}/sub/c.wav,y,2\n./b.wav,y,2\n")
    assert read(manifest_task(path), "name") == [("a.wav",), ("sub/c.wav",), ("b.wav",)]
    (tmp_path / "lists").mkdir()
    moved = path.rename(tmp_path / "lists/manifest.csv")
    task = manifest_task(moved, root=tmp_path)
    assert task.name == "lists"
    assert read(task, "name") == [("a.wav",), ("sub/c.wav",), ("b.wav",)]


def test_links_are_taken_as_they_are_named(manifest, tmp_path):
    (tmp_path / "link.wav").symlink_to("/dev/null")
    assert read(manifest_task(manifest("path,label,speaker\nlink.wav,x,1\na.wav,y,2\n")), "name")[0] == ("link.wav",)


@pytest.mark.parametrize("relative", [True, False])
def test_a_manifest_is_found_from_where_one_stands(manifest, tmp_path, monkeypatch, relative):
    manifest(ROWS)
    monkeypatch.chdir(tmp_path)
    assert len(load(manifest_task("moods.csv" if relative else tmp_path / "moods.csv"))) == 2


def test_the_version_is_the_content_and_how_it_is_read(manifest):
    task = manifest_task(manifest(ROWS))
    assert manifest_task(manifest(ROWS, "moods2.csv")).version == task.version
    assert manifest_task(manifest(ROWS), group=None).version != task.version
    assert manifest_task(manifest(ROWS + "sub/c.wav,sad,anna\n")).version != task.version


# Manifest, options, what is said when the task is made or read.
REFUSED = [
    (
        "path,label,speaker\na.wav,,anna\nb.wav,NaN,berta\nsub/c.wav,x,c\n",
        {},
        r"2 of moods have none: a\.wav \(''\), b",
    ),
    (
        "path,age,speaker\na.wav,nan,1\nb.wav,old,2\n",
        {"label": "age", "kind": "regression"},
        r"finite number, 2 of mood",
    ),
    (
        "path,age,speaker\na.wav,inf,1\nb.wav,3,2\n",
        {"label": "age", "kind": "regression"},
        r"finite number, 1 of moods",
    ),
    ("path,label,speaker\na.wav,x,\nb.wav,y,2\n", {}, r"needs a speaker, 1 of moods have none: a\.wav.*group=None"),
    ("path,label,speaker\na.wav,x,nan\nb.wav,y,2\n", {}, r"needs a speaker, 1 of moods have none"),
    ("path,label,speaker\na.wav,x\nb.wav,y,2\n", {}, r"needs a speaker, 1 of moods have none"),
    ("path,label,speaker\na.wav,x,1\nno.wav,y,2\n", {}, r"1 of 2 clips that moods lists are not on disk: no\.wav"),
    ("path,label,speaker\na.wav,x,1\nno/no.wav,y,2\n", {}, r"1 of 2 clips that moods lists are not on disk: no/no"),
    ("path,label,speaker\na.wav,x,1\nb.wav,x,2\n", {}, r"at least two classes, moods has only 'x' in 2 clips"),
    (
        "path,n,speaker\na.wav,1,1\nb.wav,1,2\n",
        {"label": "n", "kind": "regression"},
        r"two values, moods has only 1\.0",
    ),
    ("path,label,speaker\na.wav,x,1\nb.wav,y,1\n", {}, r"kept apart from two on, moods has only '1'.*group=None"),
    ("path,label,speaker\na.wav,x,1\na.wav,x,1\nb.wav,y,2\n", {}, r"listed once, moods has 1 more than once: a\.wav"),
    ("path,label,speaker\na.wav,x,1\n./sub/../a.wav,y,2\n", {}, r"listed once, moods has 1 more than once: a\.wav"),
    ("path,label,speaker\n../a.wav,x,1\nb.wav,y,2\n", {}, r"must stay in .*, 1 of moods leave it: \.\./a\.wav.* root"),
    (
        "path,label,speaker\n/etc/passwd,x,1\nb.wav,y,2\n",
        {},
        r"must stay in .*, 1 of moods leave it: \.\./.*etc/passwd",
    ),
    ("path,label,speaker\nsub/../../x.wav,x,1\nb.wav,y,2\n", {}, r"must stay in"),
    ("path,label,speaker,split\na.wav,x,1,train\nb.wav,y,1,test\n", {}, r"one split, 1 of moods .*: 1 \(test, train\)"),
    (
        "path,label,speaker,split\na.wav,x,1,train\nb.wav,y,2,\n",
        {},
        r"names each clip train, dev, test, 1 .*b\.wav \(N",
    ),
    ("path,label,speaker,split\na.wav,x,1,train\nb.wav,y,2,eval\n", {}, r"names each clip .*b\.wav \('eval'\)"),
    (
        "path,label,speaker,split\na.wav,x,1,train\nb.wav,y,2,dev\n",
        {},
        r"needs test and train, moods has only dev, tra",
    ),
    (
        "path,label,speaker,start,end\na.wav,x,1,2,1\nb.wav,y,2,,\n",
        {},
        r"before its end, a\.wav of .* has 2\.0 to 1\.0",
    ),
    ("path,label,speaker,start,end\na.wav,x,1,-1,1\nb.wav,y,2,,\n", {}, r"start at 0 or later"),
    ("path,label,speaker,start\na.wav,x,1,soon\nb.wav,y,2,\n", {}, r"start must be seconds, a\.wav has 'soon'"),
    ("path,mood,speaker\na.wav,x,1\n", {}, r"needs a column `label`, .* has path, mood, speaker\..*now 'label'"),
    ("path,label\na.wav,x\n", {}, r"needs a column `speaker`, .* has path, label"),
    ("label,speaker\nx,1\n", {}, r"needs a column `path`"),
    ("path,label,speaker\n", {}, r"at least one row with a path"),
    (ROWS, {"kind": "verification"}, r"kind must be classification or regression, got 'verification'"),
    (ROWS, {"metric": "mae"}, r"got classification and mae"),
    (ROWS, {"name": "My Task"}, r"got 'My Task'"),
]


@pytest.mark.parametrize(("text", "options", "message"), REFUSED)
def test_what_cannot_be_trusted_is_refused(manifest, text, options, message):
    with pytest.raises(ValueError, match=message):
        load(manifest_task(manifest(text), **options))


def test_a_name_that_no_file_can_have_is_missing(manifest):
    with pytest.raises(CorpusError, match=r"not on disk|cannot be read"):
        load(manifest_task(manifest("path,label,speaker\na\0b.wav,x,1\nb.wav,y,2\n")))


def test_a_manifest_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"must be a CSV file in UTF-8, .*none\.csv"):
        manifest_task(tmp_path / "none.csv")


def test_missing_clips_are_left_out_on_demand(manifest):
    task = manifest_task(manifest(ROWS + "no.wav,sad,c\n"))
    with pytest.warns(UserWarning, match=r"1 of 3 clips .*no\.wav"):
        assert len(load(task, partial=True)) == 2


def test_labels_that_look_like_nothing_but_are_words_are_kept(manifest):
    assert read(manifest_task(manifest("path,label,speaker\na.wav,none,1\nb.wav,0,2\n")), "label") == [
        ("none",), ("0",),
    ]  # fmt: skip


PACK = {"name": "moods", "label": "mood", "split": "speaker-disjoint 5-fold", "metric": "uar", "licence": "CC0"}


@pytest.fixture
def packs(tmp_path):
    """A function that writes a pack."""

    def write(folder="moods", rows=ROWS, **changes):
        pack = tmp_path / "packs" / folder
        pack.mkdir(parents=True)
        about = {key: value for key, value in (PACK | changes).items() if value is not None}
        (pack / "task.json").write_text(json.dumps(about))
        if rows is not None:
            (pack / "manifest.csv").write_text(rows)
        for name in ("a.wav", "b.wav"):
            (pack / name).touch()
        return pack.parent

    return write


def test_packs_are_tasks_by_name(packs):
    packs()
    folder = packs("who", name="who", split="stratified (speaker id task)", source="http://example.org", citation="Us")
    (folder / "notes").mkdir()
    tasks = pack_tasks(folder)
    assert {name: task.split for name, task in tasks.items()} == {"moods": "speakers", "who": "clips"}
    assert (tasks["moods"].label, tasks["moods"].metric, tasks["moods"].corpus.licence) == ("mood", "uar", "CC0")
    assert (tasks["who"].corpus.title, tasks["who"].corpus.source) == ("Us", "http://example.org")
    assert read(tasks["moods"], "name", "label", "speaker") == [("a.wav", "happy", "anna"), ("b.wav", "sad", "berta")]
    assert pickle.loads(pickle.dumps(tasks["who"])).name == "who"  # noqa: S301


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": None}, r"must be a CSV file in UTF-8, .*manifest\.csv"),
        ({"split": None}, r"name, split and metric, .*moods/task\.json has not: 'split'"),
        ({"metric": "wer"}, r"task\.json has not: .*got classification and wer"),
        ({"name": "../x"}, r"task\.json has not: .*got '\.\./x'"),
        ({"classes": ["happy", "glad"]}, r"hold the classes of its task\.json, .* differs in glad, sad"),
    ],
)
def test_a_broken_pack_says_what_is_wrong(packs, changes, message):
    folder = packs(**changes)
    with pytest.raises(CorpusError, match=message):
        load(pack_tasks(folder)["moods"])


def test_a_pack_that_is_no_json_is_named(packs):
    folder = packs()
    (folder / "moods/task.json").write_text("{]")
    with pytest.raises(CorpusError, match=r"moods/task\.json has not: .*property name"):
        pack_tasks(folder)


def test_two_packs_of_one_name_are_refused(packs):
    packs()
    folder = packs("again")
    with pytest.raises(CorpusError, match=r"name must be its own, .*moods/task\.json is the second moods"):
        pack_tasks(folder)


def test_a_folder_without_packs_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"must hold \*/task\.json"):
        pack_tasks(tmp_path)


DEV = Path(__file__).parents[4] / "shared/speech/dev"


@pytest.mark.skipif(not DEV.is_dir(), reason="the speech packs are not in this checkout")
def test_the_real_packs_are_read():
    tasks = pack_tasks(DEV)
    assert len(tasks) == 10
    for name, task in tasks.items():
        about = json.loads((DEV / name / "task.json").read_text())
        utterances = load(task)
        assert len(utterances) == about["n_clips"]
        assert len({each.speaker for each in utterances}) == about["n_speakers"]
        assert sorted({each.label for each in utterances}) == about["classes"]
        assert task.metric == "uar"
        assert task.split == ("clips" if name == "speaker_en_l2" else "speakers")
