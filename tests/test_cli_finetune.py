"""`trill finetune` as a user meets it."""

import re

import pytest
from click.testing import CliRunner

from tests.runs import SMALL, little_known
from tests.test_cli_train import assert_refused
from tests.training.test_finetune import make_labelled
from trill import cli
from trill.networks import saving


@pytest.fixture(autouse=True, scope="module")
def _little():
    with little_known():
        yield


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: labelled tones of five speakers, a small network, a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_labelled(tmp_path / "tones", speakers=5)
    saving.save(saving.build(SMALL.network), SMALL.network, tmp_path / "little.safetensors")
    return tmp_path


def tune(*arguments, source="tones"):
    """Run `trill finetune` in this process."""
    options = ["--model", "little.safetensors", "-o", "run", "--steps", "2", *map(str, arguments)]
    return CliRunner().invoke(cli.main, ["finetune", source, "--label", "pitch", *options], prog_name="trill")


def test_the_manual():
    result = CliRunner().invoke(cli.main, ["finetune", "--help"], prog_name="trill")
    assert result.exit_code == 0
    for words in ("trill finetune corpus/manifest.csv --label emotion -o run/", "--per-speaker", "--unfreeze"):
        assert words in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_a_run_says_what_it_does(here):
    result = tune()
    assert (result.exit_code, result.stderr) == (0, "")
    clips, step, *table, verdict = result.stdout.splitlines()
    assert clips == "30 clips: 18 train, 6 dev, 6 test"
    assert re.fullmatch(r"step 2: loss \d\.\d{4}, dev \d\.\d{3}", step)
    assert [" ".join(line.split()[1:-3]) for line in table if "[" not in line] == [
        *("UAR frozen", "UAR fine-tuned", "UAR fine-tuned - frozen"),
        *("accuracy frozen", "accuracy fine-tuned", "accuracy fine-tuned - frozen"),
    ] or all("no interval" in line for line in table)  # one speaker judges
    assert verdict.startswith("pitch: fine-tuned ")
    again = tune()
    assert again.exit_code == 0
    assert again.stdout.splitlines() == [clips, *table, verdict]


def test_options_reach_the_recipe(here):
    from trill.training.recipes import TrainConfig

    result = tune(
        *("--pooling", "attention", "--unfreeze", "1", "--learning-rate", "0.01", "--layer-decay", "0.5"),
        *("--head-rate", "2", "--unbalanced", "--moving-statistics", "--augment", "gain", "--windows", "2"),
        *("--batch-size", "5", "--patience", "3", "--seed", "4", "--label", "level:mae"),
    )
    assert result.exit_code == 0, result.output
    config = TrainConfig.from_toml((here / "run/recipe.toml").read_text())
    assert config.objective == {
        "kind": "finetune",
        "pooling": "attention",
        "unfreeze": "1",
        "max_windows": 2,
        "balanced": False,
        "layer_decay": 0.5,
        "head_rate": 2.0,
        "moving_statistics": True,
        "patience": 3,
        "by_clip": False,
        "heads": ["pitch:classification", "level:mae"],
    }
    assert (config.batch_size, config.steps, config.seed, config.augment) == (5, 2, 4, {"gain": {}})
    assert config.optimizer.learning_rate == 0.01


@pytest.mark.slow
def test_several_seeds_are_told_together(here):
    result = tune("--seeds", 2)
    assert result.exit_code == 0, result.output
    for folder in ("run", "run/seed-0", "run/seed-1"):
        assert (here / folder / "predictions.csv").is_file()
    rows = [(here / folder / "predictions.csv").read_text().splitlines() for folder in ("run", "run/seed-0")]
    assert len(rows[0]) == 13
    assert rows[0][:7] == rows[1]


@pytest.mark.slow
def test_per_speaker_counts_speakers(here):
    result = tune("--per-speaker", "--speaker-steps", 1)
    assert result.exit_code == 0, result.output
    counted = re.findall(r"pitch: speakers, (.+): (\d) better, (\d) unchanged, (\d) worse", result.stdout)
    assert [pair for pair, *_ in counted] == ["global - frozen", "per speaker - global", "per speaker - frozen"]
    assert [sum(map(int, numbers)) for _, *numbers in counted] == [5, 5, 5]


def test_what_cannot_be_read_is_one_line_and_an_exit_code(here):
    (here / "tones/0.wav").write_text("This is no sound.")
    (here / "tones/1.wav").write_text("Nor is this.")
    result = tune()
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("2 could not be read and are left out, e.g. 0.wav: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "mood"], ["has no 'mood' but path, pitch, level, speaker. Pass --label COLUMN."]),
        (["--model", "mine.tflite"], ["the weights of a .tflite are constants", "Pass the .safetensors"]),
        (["--model", "none.safetensors"], ["a network is a .safetensors file"]),
        (["--unfreeze", "block3"], ["unfreeze must be all, a number of blocks", "stem, bottleneck, got 'block3'"]),
        (["--augment", "shout"], ["augmentations must be among"]),
        (["--noise", "tones"], ["--noise is for the augmentation `noise`"]),
        (["--learning-rate", "-1"], ["learning_rate must be positive, got -1.0"]),
        (["--layer-decay", "0"], ["layer_decay must be positive"]),
        (["--per-speaker", "--by-clip"], ["per speaker needs a column `speaker`"]),
        (["--per-speaker", "--noise", "tones"], ["--noise goes with no --per-speaker"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(here, arguments, words):
    assert_refused_with_clips(tune(*arguments), *words)


def assert_refused_with_clips(result, *words):
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert_refused(result, *words)


def test_no_manifest(here):
    assert_refused(tune(source="nothing.csv"), "nothing.csv cannot be read as one")
