"""From sounds to the number in the JSON file: `noss run` as a user calls it, and the same by scikit-learn alone."""

import csv
import itertools
import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from noss.cli import main
from noss.splits import make_splits

SPEAKERS, CLIPS, CLASSES = 12, 10, ("calm", "glad", "sad")
BANDS = """
import numpy as np
def bands(waveform):
    power = np.abs(np.fft.rfft(waveform)) ** 2
    return np.log([part.mean() + 1e-9 for part in np.array_split(power, 12)]).astype(np.float32)
"""
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Coloured noise: a class tilts its spectrum a little, a speaker more; and a representation in a file."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(3)
    with (folder / "moods.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "mood", "speaker"])
        voices, moods = rng.normal(0, 0.4, (SPEAKERS, 12)), rng.normal(0, 0.45, (3, 12))
        for number, (speaker, _) in enumerate(itertools.product(range(SPEAKERS), range(CLIPS))):
            mood = rng.integers(3)
            tilt = voices[speaker] + moods[mood] + rng.normal(0, 0.5, 12)
            spectrum = np.repeat(np.exp(tilt), 168)[:2001] * rng.normal(size=2001)
            sound = np.fft.irfft(spectrum)
            soundfile.write(folder / f"{number:03d}.wav", 0.2 * sound / np.abs(sound).max(), 16_000)
            rows.writerow([f"{number:03d}.wav", CLASSES[mood], f"voice{speaker:02d}"])
    (folder / "bands_by_hand.py").write_text(BANDS)
    return folder


def noss_run(desk, monkeypatch, protocol):
    monkeypatch.chdir(desk)
    arguments = ["run", "--manifest", "moods.csv", "--label", "mood", "-r", "bands_by_hand:bands"]
    done = CliRunner().invoke(main, [*arguments, "--protocol", protocol, "-o", protocol, "-q"])
    assert done.exit_code == 0, done.output
    [file] = (desk / protocol).glob("moods--*.json")
    return json.loads(file.read_text())["result"]["evaluation"]


def clips_of(desk):
    """Labels, speakers and features, read as anybody would."""
    with (desk / "moods.csv").open() as file:
        rows = list(csv.DictReader(file))
    space = {}
    exec(BANDS, space)  # noqa: S102
    x = np.stack([space["bands"](soundfile.read(desk / row["path"], dtype="float32")[0]) for row in rows])
    return np.array([row["mood"] for row in rows]), np.array([row["speaker"] for row in rows]), x


def test_the_referee_in_plain_scikit_learn(desk, monkeypatch):
    found = noss_run(desk, monkeypatch, "referee")
    y, who, x = clips_of(desk)
    x = x.astype(np.float64)
    predicted = np.empty_like(y)
    for rest, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(x, y, who):
        [(a, b)] = GroupShuffleSplit(1, test_size=0.25, random_state=0).split(rest, y[rest], who[rest])
        models = [
            make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=1000))
            for strength in STRENGTHS
        ]
        on_dev = [
            recall_score(y[rest[b]], each.fit(x[rest[a]], y[rest[a]]).predict(x[rest[b]]), average="macro")
            for each in models
        ]
        predicted[test] = models[int(np.argmax(on_dev))].fit(x[rest], y[rest]).predict(x[test])
    score = recall_score(y, predicted, average="macro")
    assert 0.4 < score < 0.9  # neither is 1 or chance, which many mistakes give
    assert found["score"] == pytest.approx(score, abs=1e-12)


def test_the_whole_grid_of_noss_in_plain_scikit_learn(desk, monkeypatch):
    """Only who trains, chooses and tests is taken from us; every setting is fitted anew, the slow way."""
    found = noss_run(desk, monkeypatch, "noss")
    y, who, x = clips_of(desk)

    def by_speaker(rows, *parts):
        """A speaker's own mean and deviation; no speaker is in two parts here, and all have clips enough."""
        rows = rows.copy()
        for part, speaker in itertools.product(parts, np.unique(who)):
            mine = part[who[part] == speaker]
            if len(mine):
                rows[mine] = StandardScaler().fit_transform(rows[mine])
        return rows

    classifiers = [
        *(LogisticRegression(C=c, tol=1e-7, max_iter=5000) for c in STRENGTHS),
        *(LogisticRegression(C=c, tol=1e-7, max_iter=5000, class_weight="balanced") for c in STRENGTHS),
        *(LinearDiscriminantAnalysis("lsqr", shrinkage=c) for c in (0.9, 0.5, 0.2, 0.05)),
        RandomForestClassifier(random_state=0),
    ]
    # Clips have one window each: mean, maximum and vote are it, the first counts; and its deviation is 0.
    pooled = [x, np.hstack([x, np.zeros_like(x)])]
    normalised = [lambda rows, *_: rows, lambda rows, *_: normalize(rows), by_speaker]

    def recall(setting, learn, judge):
        rows, normalise, model = setting
        rows = normalise(rows, learn, judge)
        if not isinstance(model, RandomForestClassifier):  # trees need no scale, and get none
            rows, model = (
                rows.astype(np.float64),
                make_pipeline(StandardScaler(), model),
            )  # L-BFGS stops early in 32 bits
        return recall_score(y[judge], model.fit(rows[learn], y[learn]).predict(rows[judge]), average="macro")

    scores = []
    for split in make_splits(y, who, "speakers"):
        settings = list(itertools.product(pooled, normalised, classifiers))
        on_dev = [round(recall(setting, split.train, split.dev), 12) for setting in settings]
        best = settings[int(np.argmax(on_dev))]
        scores.append(recall(best, np.union1d(split.train, split.dev), split.test))
    assert [outcome["score"] for outcome in found["outcomes"]] == pytest.approx(scores, abs=1e-12)
    assert found["score"] == pytest.approx(np.mean(scores), abs=1e-12)
    assert len({outcome["setting"]["classifier"] for outcome in found["outcomes"]}) > 1
