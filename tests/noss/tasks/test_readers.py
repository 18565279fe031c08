"""Each reader on a corpus of its layout, with what else lies in real archives, and on a broken one."""

import json
import pickle
import re
import shutil
import time

import numpy as np
import pytest

from noss.tasks import TASKS, CorpusError, load, load_trials
from noss.tasks.files import scan
from tests.noss.tasks.fakes import CN_CELEB, CREMA_D, FAKES, SLURP, commands, lines, make, silence, wav
from tests.sounds import encode, tone
from trill import audio


def read(task, folder, **options):
    return [(each.name, each.label, each.speaker, each.split) for each in load(task, folder, **options)]


def test_every_task_has_a_fake():
    assert set(FAKES) == set(TASKS)


@pytest.mark.parametrize("task", FAKES)
def test_a_reader_reads_its_layout(task, tmp_path):
    """The sounds are empty files: nothing can have been decoded."""
    files, expected = FAKES[task]
    folder = make(tmp_path / "corpus", files)
    assert read(task, folder) == expected
    for each in load(task, folder):
        assert each.path == folder / each.name.partition("#")[0]
        assert each.path.is_file()


@pytest.mark.parametrize("task", FAKES)
def test_a_reader_travels_to_other_processes(task, tmp_path):
    folder = make(tmp_path, FAKES[task][0])
    assert load(pickle.loads(pickle.dumps(TASKS[task])), folder) == load(task, folder)  # noqa: S301


LISTS = {
    "voxceleb1": "iden_split.txt",
    "speech_commands": "speech_commands_v0.02/validation_list.txt",
    "speech_commands_intra": "speech_commands_v0.02/testing_list.txt",
    "timit_age": "timit/DOC/SPKRINFO.TXT",
    "librispeech_gender": "LibriSpeech/SPEAKERS.TXT",
    "slurp_intent": "dataset/slurp/metadata.json",
    "fluent_intent": "fsc/data/valid_data.csv",
}


@pytest.mark.parametrize(("task", "name"), LISTS.items())
def test_a_list_that_is_missing_is_named(task, name, tmp_path):
    folder = make(tmp_path, FAKES[task][0])
    (folder / name).unlink()
    with pytest.raises(CorpusError, match=rf"must hold .*{re.escape(name.rpartition('/')[2])}"):
        load(task, folder)


@pytest.mark.parametrize(("task", "name"), LISTS.items())
def test_a_list_that_is_damaged_never_passes_for_another_corpus(task, name, tmp_path):
    """Rubbish in a list: an error that says what is wanted, or, where lines are mere names, clips that are missing."""
    folder = make(tmp_path, FAKES[task][0])
    (folder / name).write_bytes(b"\xff{]\x00 rubbish\n" * 3)
    if task == "speech_commands_intra":  # does not use it
        return
    with pytest.raises(CorpusError, match=r"(?s)must be .*|not on disk|label|needs"):
        load(task, folder)


@pytest.mark.parametrize("task", TASKS)
def test_a_corpus_that_is_missing_says_where_it_is_and_how_it_looks(task, tmp_path):
    corpus = TASKS[task].corpus
    (tmp_path / "empty").mkdir()
    for folder, found in ((None, "got none"), (tmp_path / "no", "no such folder")):
        with pytest.raises(CorpusError) as error:
            load(task, folder)
        said = str(error.value)
        assert corpus.title in said
        assert found in said
        assert corpus.source in said
        assert all(line in said for line in corpus.layout.strip().splitlines())
    with pytest.raises(CorpusError, match=r"holds none of it|must hold"):
        load(task, tmp_path / "empty")


@pytest.mark.parametrize(
    "task", ["crema_d", "savee", "dementiabank", "aesdd", "cafe", "kathbath_speaker", "football_keywords", "voxforge"]
)
def test_the_layout_that_is_shown_is_the_one_that_is_read(task, tmp_path):
    shown = re.findall(r"^(\S.*?\.(?:wav|mp3|ogg))(?:\s{2}|$)", TASKS[task].corpus.layout, re.MULTILINE)
    folder = make(tmp_path, wav(*shown))
    assert len(shown) >= 1
    assert [each.name for each in TASKS[task].read(folder)] == sorted(shown)


# A corpus that is broken in its own way: task, path -> new content (None: gone), what is said.
BROKEN = [
    ("voxceleb1", {"iden_split.txt": "3 Aaron_Eckhart/1zcIwhmdeo4/0000001.wav\n"}, r"must be like `1 id10003/.*line 1"),
    ("voxceleb1", {"iden_split.txt": "4 id10003/a/00003.wav\n"}, r"must be like `1 id10003/"),
    ("voxceleb1", {"dev/wav/id10003/na8-QEFmj44/00003.wav": None}, r"1 of 4 clips .* wav/id10003/na8-QEFmj44/00003"),
    ("voxceleb1", {"iden_split.txt": "1 id10003/5ablueV_1tw/00001.wav\n" * 2}, r"listed once, .* has 1 more than once"),
    ("speech_commands", {"speech_commands_test_set_v0.02/_silence_/1035.wav": None}, r"_silence_/ once, got 0"),
    ("speech_commands", {"speech_commands_v0.01/validation_list.txt": ""}, r"validation_list.txt once, got 2"),
    ("speech_commands", {"speech_commands_v0.02/_background_noise_/white_noise.wav": "no WAV"}, r"noise must be WAV"),
    ("speech_commands", {"speech_commands_v0.02/yes/0b56bcfe_nohash_1.wav": None}, r"1 of 12 clips .* not on disk"),
    (
        "speech_commands",
        {"speech_commands_v0.02/yes/0c40e715_nohash_9.wav": ""},
        r"one split, .*0c40e715 \(test, train",
    ),
    ("crema_d", {"AudioWAV16k/1001_DFA_ANG_XX.wav": ""}, r"hold a clip once, got AudioWAV/1001.* and AudioWAV16k/1001"),
    (
        "dementiabank",
        {"Pitt/Control/cookie/002-0.mp3": None, "Pitt/Control/cookie/002-0.wav": None},
        r"only 'dementia'",
    ),
    (
        "timit_gender",
        {"timit/TRAIN/DR1/FCJF0/SA1.WAV": None, "timit/TRAIN/DR1/FCJF0/SA1.WAV.wav": None},
        r"needs test a",
    ),
    ("timit_age", {"timit/TEST/DR2/FCJF0/SX1.WAV": ""}, r"stand in one split, 1 .*fcjf0 \(test, train\)"),
    (
        "iemocap_emotion",
        {"Session5/dialog/EmoEvaluation/Ses05M_script01_1b.txt": None},
        r"needs test and train, .* only",
    ),
    (
        "iemocap_valence",
        {"Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_M010.wav": None},
        r"not on disk",
    ),
    (
        "librispeech_gender",
        {"LibriSpeech/SPEAKERS.TXT": "61 | M |\n14 | F |\n"},
        r"label that is a word, 1 .*60-121082",
    ),
    ("slurp_intent", {"dataset/slurp/test.jsonl": "{]\n"}, r"whole in a folder, .*JSONDecodeError"),
    ("slurp_intent", {"dataset/slurp/test.jsonl": '{"recordings": []}\n'}, r"needs test and train"),
    ("slurp_intent", {"dataset/slurp/metadata.json": "[]"}, r"whole in a folder, .*AttributeError"),
    ("fluent_intent", {"fsc/data/test_data.csv": "path,speakerId\nx.wav,s9\n"}, r"whole in a folder, .*KeyError"),
    (
        "fluent_intent",
        {"fsc/data/test_data.csv": "path,speakerId,action,object,location\n/../../etc/x.wav,s9,a,b,c\n"},
        r"must stay in .*, 1 of fluent_intent leave it: fsc//../../etc/x.wav",
    ),
    ("kathbath_speaker", {"noisy/bengali/train/594/844424931537866-594-f.wav": ""}, r"hold a clip once"),
    ("cn_celeb", {"CN-Celeb_flac/dev/dev.lst": "id00000\nid00800\n"}, r"stand in one split, .*id00800"),
]


@pytest.mark.parametrize(("task", "changes", "message"), BROKEN)
def test_a_broken_corpus_says_what_is_wrong(task, changes, message, tmp_path):
    files = {name: content for name, content in (FAKES[task][0] | changes).items() if content is not None}
    with pytest.raises(CorpusError, match=message):
        load(task, make(tmp_path, files))


def test_a_part_of_a_corpus_is_read_on_demand_and_says_so(tmp_path):
    files, expected = FAKES["voxceleb1"]
    folder = make(tmp_path, files)
    (folder / expected[0][0]).unlink()
    (folder / "iden_split.txt").write_text(files["iden_split.txt"] + "3 id10001/1zcIwhmdeo4/00009.wav\n")
    make(tmp_path, wav("test/wav/id10001/1zcIwhmdeo4/00009.wav"))
    with pytest.warns(UserWarning, match=r"1 of 5 clips .*00003\.wav\. They are left out: scores do not compare"):
        found = read("voxceleb1", folder, partial=True)
    assert found == [*expected[1:], ("test/wav/id10001/1zcIwhmdeo4/00009.wav", "id10001", "id10001", "test")]


def test_nothing_at_all_is_no_part(tmp_path):
    (tmp_path / "iden_split.txt").write_text(FAKES["voxceleb1"][0]["iden_split.txt"])
    with pytest.raises(CorpusError, match=r"4 of 4 clips that voxceleb1 lists are not on disk"):
        load("voxceleb1", tmp_path, partial=True)


def test_a_corpus_may_be_made_of_links_even_in_circles(tmp_path):
    folder = make(tmp_path / "disk", CREMA_D[0])
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/crema").symlink_to(folder)
    (folder / "AudioWAV/up").symlink_to(tmp_path / "linked")
    assert read("crema_d", tmp_path / "linked") == [(f"crema/{name}", *rest) for name, *rest in CREMA_D[1]]


def test_a_copy_of_the_whole_is_refused(tmp_path):
    folder = make(tmp_path / "one", FAKES["savee"][0])
    shutil.copytree(folder, tmp_path / "two")
    with pytest.raises(CorpusError, match=r"got one/AudioData/DC/a01\.wav and two/AudioData/DC/a01\.wav"):
        load("savee", tmp_path)


def test_seconds_of_silence_are_whole_and_start_every_half_second(tmp_path):
    """Against the loop of TensorFlow Datasets: range(0, n - 16000, 8000)."""
    files, _ = commands(2)
    files["speech_commands_v0.02/_background_noise_/running_tap.wav"] = silence(3.51)
    parts = [each for each in load("speech_commands", make(tmp_path, files)) if each.path.stem == "running_tap"]
    assert [(each.start, each.end) for each in parts] == [
        (start / 16_000, start / 16_000 + 1) for start in range(0, round(3.51 * 16_000) - 16_000, 8_000)
    ]


def test_timit_is_read_as_it_is_on_the_disc(tmp_path):
    """NIST SPHERE named .WAV."""
    files = FAKES["timit_gender"][0] | {"timit/TRAIN/DR1/FCJF0/SA1.WAV": encode(tone(0.1), format="NIST")}
    first = load("timit_gender", make(tmp_path, files))[1]
    assert first.name == "timit/TRAIN/DR1/FCJF0/SA1.WAV"
    assert audio.read(first.path).shape == (1600,)


def test_trials_are_pairs_of_utterances(tmp_path):
    folder = make(tmp_path, CN_CELEB[0])
    utterances = load("cn_celeb", folder)
    trials = load_trials("cn_celeb", folder, utterances)
    pairs = [(utterances[a].path.stem, utterances[b].path.stem) for a, b in zip(trials.enrol, trials.test, strict=True)]
    assert pairs == [("id00800-enroll", "id00800-singing-01-005"), ("id00800-enroll", "id00999-vlog-01-001")]
    assert trials.same.tolist() == [True, False]
    assert trials.enrol.dtype == trials.test.dtype == np.int32


def test_verification_needs_no_training_part(tmp_path):
    files = {name: content for name, content in CN_CELEB[0].items() if "/dev/" not in name and "/data/" not in name}
    assert read("cn_celeb", make(tmp_path, files)) == CN_CELEB[1][:3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            "id00800-enroll test/id00800-singing-01-005.wav 1\nid00801-enroll test/id1.wav 0\n",
            r"1 of 2 trials .*partial",
        ),
        ("id00800-enroll test/id00800-singing-01-005.wav 1\n", r"of both sorts, cn_celeb has 1 of one"),
        ("", r"of both sorts, cn_celeb has 0"),
        ("id00800-enroll 1\n", r"whole in a folder, .*ValueError"),
    ],
)
def test_trials_that_cannot_be_scored_are_refused(changed, message, tmp_path):
    folder = make(tmp_path, CN_CELEB[0])
    utterances = load("cn_celeb", folder)
    (folder / "CN-Celeb_flac/eval/lists/trials.lst").write_text(changed)
    with pytest.raises(CorpusError, match=message):
        load_trials("cn_celeb", folder, utterances)


def test_trials_with_missing_clips_are_left_out_on_demand(tmp_path):
    folder = make(tmp_path, CN_CELEB[0])
    with (folder / "CN-Celeb_flac/eval/lists/trials.lst").open("a") as file:
        file.write("id00801-enroll test/id1.wav 0\n")
    with pytest.warns(UserWarning, match=r"1 of 3 trials of cn_celeb .* left out"):
        trials = load_trials("cn_celeb", folder, load("cn_celeb", folder), partial=True)
    assert trials.same.tolist() == [True, False]


def test_only_verification_has_trials(tmp_path):
    with pytest.raises(ValueError, match=r"only verification has trials, crema_d is a classification"):
        load_trials("crema_d", tmp_path, [])


def test_slurp_speakers_may_stand_in_several_splits_because_it_says_so(tmp_path):
    assert "by sentence" in TASKS["slurp_intent"].overlap
    train = {speaker for _, _, speaker, split in read("slurp_intent", make(tmp_path, SLURP[0])) if split == "train"}
    assert train == {"FO-488"}


def test_a_thousand_classes_of_few_clips_are_read_in_no_time(tmp_path):
    """VoxCeleb1 in small: 1,251 people, three clips each, one in each split."""
    clips = [(split, f"id{10001 + person}/v{split}/00001.wav") for person in range(1251) for split in (1, 2, 3)]
    (tmp_path / "iden_split.txt").write_text(lines(*(f"{split} {clip}" for split, clip in clips)))
    for _, clip in clips:
        (tmp_path / "wav" / clip).parent.mkdir(parents=True)
        (tmp_path / "wav" / clip).touch()
    start = time.perf_counter()
    utterances = load("voxceleb1", tmp_path)
    assert time.perf_counter() - start < 10  # a quarter of a second, on an idle machine
    assert len({each.label for each in utterances}) == 1251
    assert len(utterances) == len(clips)


def test_scan_leaves_out_what_archives_bring_along(tmp_path):
    names = ("b/1.wav", "a.wav", ".hidden/2.wav", "b/._1.wav", "__MACOSX/b/1.wav", "Ü.WAV")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere")
    assert scan(tmp_path) == ["a.wav", "b/1.wav", "Ü.WAV"]


def test_lists_may_be_latin_or_marked(tmp_path):
    """A byte-order mark, Windows line ends, an accent in Latin-1."""
    files, expected = FAKES["librispeech_gender"]
    text = "\ufeff" + files["LibriSpeech/SPEAKERS.TXT"].replace("\n", "\r\n")
    folder = make(tmp_path, files | {"LibriSpeech/SPEAKERS.TXT": text})
    assert read("librispeech_gender", folder) == expected
    (folder / "LibriSpeech/SPEAKERS.TXT").write_bytes(text[1:].replace("Kristin", "Chloé").encode("latin-1"))
    assert read("librispeech_gender", folder) == expected


def test_slurp_entries_are_as_its_readme_shows():
    about = json.loads(SLURP[0]["dataset/slurp/train.jsonl"])
    assert {"scenario", "action", "recordings"} <= set(about)
