"""What learns, against its definition; levelling and chances; how they are fitted."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trill
from scripts import fit_calibration
from tests.personal_voices import DIM, toy, voices
from trill.examples import list_examples
from trill.personal import background, linear
from trill.personal.background import Background

CURVES = {"centroid": (4.0, -0.8, 0.1, -2.0), "logistic": (2.6, -1.3, -0.5, -1.1)}


def made(seed=0, rank=3, dim=DIM):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(dim, rank)))
    mean = linear.unit(rng.normal(size=dim))
    gains = rng.uniform(0.1, 0.9, rank).astype(np.float32)
    return Background("toy", "", mean, basis.T.astype(np.float32), gains, 0.7, CURVES)


def loss(weights, prior, x, codes):
    """The definition: mean over labels of the mean loss of their clips, and what departs from the prior."""
    total = 0.0
    for label in range(len(weights)):
        for row in x[codes == label]:
            logits = [float(w @ row) for w in weights]
            total += np.log(np.sum(np.exp(np.subtract(logits, logits[label])))) / (codes == label).sum() / len(weights)
    return total + linear.STRENGTH / 2 * ((weights - prior) ** 2).sum()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.integers(2, 4), st.integers(1, 4))
def test_logistic_is_at_the_minimum(seed, num_labels, clips):
    rng = np.random.default_rng(seed)
    x = linear.unit(voices(num_labels, clips, dim=6, seed=seed).reshape(-1, 6)).astype(np.float64)
    codes = np.repeat(np.arange(num_labels), clips)
    prior, _ = linear.centroids(x, codes)
    found, bias = linear.logistic(x, codes)
    assert not bias.any()
    at, begin = loss(found, prior, x, codes), loss(prior, prior, x, codes)
    assert at <= begin
    # Of what there is to gain no more than a hundredth is left: compared with ten times the steps.
    best = min(loss(found + 1e-2 * rng.normal(size=found.shape), prior, x, codes) for _ in range(20))
    assert at <= best + 1e-2 * (begin - at)


def test_more_steps_change_little(monkeypatch):
    x, codes = linear.unit(voices(3, 4).reshape(-1, DIM)), np.repeat(np.arange(3), 4)
    found, _ = linear.logistic(x, codes)
    monkeypatch.setattr(linear, "STEPS", 1000)
    best, _ = linear.logistic(x, codes)
    prior, _ = linear.centroids(x.astype(np.float64), codes)
    assert np.abs(found - best).max() < 0.1 * np.abs(best - prior).max()


def test_centroids_are_means_of_one_length():
    x, codes = voices(3, 4).reshape(-1, DIM), np.array([2, 0, 1, 1, 0, 2, 2, 2, 0, 1, 1, 1])
    weights, _ = linear.centroids(x, codes)
    for label in range(3):
        mean = x[codes == label].mean(axis=0)
        np.testing.assert_allclose(weights[label], linear.STEEPNESS * mean / np.linalg.norm(mean), rtol=1e-5)


@pytest.mark.parametrize(
    ("counts", "method"),
    [
        ([1], "centroid"),
        ([50], "centroid"),
        ([1, 1], "centroid"),
        ([2, 2], "logistic"),
        ([3, 1], "logistic"),
        ([2] * 50, "logistic"),
        ([2] * 51, "centroid"),
        ([1001, 1], "centroid"),
        ([1] * 5000, "centroid"),
    ],
)
def test_how_much_there_is_chooses(counts, method):
    assert linear.choose(np.array(counts)) == method


@settings(deadline=None)
@given(st.integers(0, 99))
def test_folded_says_the_same(seed):
    space, rng = made(seed), np.random.default_rng(seed)
    rows, bias, x = rng.normal(size=(4, DIM)), rng.normal(size=4), linear.unit(rng.normal(size=(5, DIM)))
    weights, folded = space.fold(rows, bias)
    np.testing.assert_allclose(x @ weights.T + folded, space.level(x) @ rows.T + bias, atol=1e-5)


def test_levelling_shrinks_the_basis_alone():
    space = made()
    along, rng = space.basis[0], np.random.default_rng(0)
    np.testing.assert_allclose(space.level(space.mean + along), along * space.gains[0] / space.scale, atol=1e-6)
    across = rng.normal(size=DIM)
    across -= across @ space.basis.T @ space.basis
    np.testing.assert_allclose(space.level(space.mean + across), across / space.scale, atol=1e-5)


def test_chances_rise_with_the_score_and_never_leave_their_range():
    scores = np.array([-1e30, -1, 0, 1, 1e30])
    for method in CURVES:
        chances = made().chances(method, 3, scores)
        assert (np.diff(chances) > 0).all()
        assert chances[0] == 0
        assert chances[-1] == 1
    slope, many, learned, offset = CURVES["logistic"]
    expected = 1 / (1 + np.exp(-(slope * 0.4 + many * np.log(2) + learned * np.log(3) + offset)))
    np.testing.assert_allclose(made().chances("logistic", 3, np.array([0.4, 0.1]))[0], expected)


def test_a_background_comes_back(tmp_path):
    space = made()
    background.write(tmp_path / "toy.npz", space)
    found = background.read(tmp_path / "toy.npz")
    assert (found.model, found.scale, found.curves) == ("toy", 0.7, CURVES)
    np.testing.assert_array_equal(found.mean, space.mean)
    np.testing.assert_allclose(found.basis, space.basis, atol=1e-3)


@pytest.mark.parametrize("damage", [lambda d: d[:100], lambda d: b"", lambda d: d[:300] + b"\0" * 40 + d[340:]])
def test_a_damaged_background_is_refused(tmp_path, damage):
    background.write(tmp_path / "toy.npz", made())
    data = (tmp_path / "toy.npz").read_bytes()
    (tmp_path / "bad.npz").write_bytes(damage(data))
    with pytest.raises(trill.ModelError, match=r"is no background of ours, or was cut short"):
        background.read(tmp_path / "bad.npz")
    with pytest.raises(trill.ModelError, match=r"a background is a file of at most"):
        background.read(tmp_path / "none.npz")


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    for index, changes in enumerate(({"basis": np.zeros((2, 3))}, {"scale": -1.0}, {"mean": np.full(DIM, np.nan)})):
        background.write(tmp_path / f"{index}.npz", dataclasses.replace(made(), **changes))
        with pytest.raises(trill.ModelError, match="do not fit each other"):
            background.read(tmp_path / f"{index}.npz")


def test_the_packaged_model_has_its_background():
    """Run scripts/fit_calibration.py after packaging another model: see docs/personal-heads.md."""
    card, dim = trill.load().card, trill.load().embedding_dim
    found = background.background_of(card, dim)
    assert (found.model, found.mean.shape) == (card.identity, (dim,))
    np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(len(found.basis)), atol=5e-3)


def test_another_model_of_that_name_has_none():
    card, dim = trill.load().card, trill.load().embedding_dim
    other = dataclasses.replace(card, sha256="0" * 64, source_sha256="")
    same_weights = dataclasses.replace(card, sha256="0" * 64)
    assert background.background_of(other, dim).model == ""
    assert background.background_of(same_weights, dim).model == card.identity
    assert background.background_of(card, dim + 1).model == ""
    assert background.background_of(dataclasses.replace(card, name="../weights/mobilenet"), dim).model == ""


@pytest.fixture(scope="module")
def speech():
    """Forty voices that share three strong directions, some saying one of five words; unit embeddings."""
    rng = np.random.default_rng(0)
    words, shared = rng.normal(size=(5, DIM)), rng.normal(size=(3, DIM))
    speakers, keywords, rows = [], [], []
    for speaker in range(40):
        centre = rng.normal(size=DIM)
        for clip in range(8):
            word = clip % 5
            rows.append(4 + centre + 0.7 * words[word] + 3 * rng.normal(size=3) @ shared + 0.5 * rng.normal(size=DIM))
            speakers.append(f"s{speaker}")
            keywords.append(f"w{word}")
    return linear.unit(np.array(rows)), np.array(speakers), np.array(keywords), np.array(["one corpus"] * len(rows))


def test_directions_are_those_that_vary_most(speech, monkeypatch):
    monkeypatch.setattr(fit_calibration, "RANK", 3)
    monkeypatch.setattr(fit_calibration, "FLOOR", 0.1)
    mean, basis, gains, scale = fit_calibration.directions(speech[0])
    space = Background("", "", mean, basis, gains, scale, CURVES)
    values = np.linalg.eigvalsh(np.cov(speech[0].T))[::-1]
    levelled = space.level(speech[0])
    assert np.var(speech[0] @ basis[0]) == pytest.approx(values[0], rel=0.01)
    assert np.square(levelled).sum(axis=1).mean() == pytest.approx(1, rel=1e-3)
    after = np.linalg.eigvalsh(np.cov(levelled.T))[::-1]
    assert after[0] / after[10] < values[0] / values[10] / 2


def test_fitted_curves_are_honest_on_their_own_voices(speech, monkeypatch):
    monkeypatch.setattr(fit_calibration, "DRAWS", 120)
    monkeypatch.setattr(fit_calibration, "RANK", 3)
    monkeypatch.setattr(fit_calibration, "FLOOR", 0.1)
    space = fit_calibration.fit(*speech, toy().card)
    chances, right = [], []
    for scores, clips, hit in fit_calibration.heard(
        space, "centroid", speech[0], speech[1], np.arange(320).astype(str), speech[3]
    ):
        chances += space.chances("centroid", clips, scores).max(axis=1).tolist()
        right += hit.tolist()
    chances, right = np.array(chances), np.array(right)
    assert space.curves["centroid"][0] > 1
    assert chances.mean() == pytest.approx(right.mean(), abs=0.1)
    assert right[chances > 0.5].mean() > 0.6 > 0.4 > right[chances < 0.5].mean()
    assert fit_calibration.fit(*speech, toy().card).curves == space.curves, "the same every time"


def test_strangers_are_of_the_same_corpus(speech, monkeypatch):
    """Another corpus is another room and microphone, from which anybody could tell them."""
    x, speakers, _, _ = speech
    sources = np.where(np.arange(len(x)) < 120, "small", "large")  # 15 and 25 voices
    x = np.where(sources == "small", 1.0, -1.0)[:, None] * abs(x)
    heard = []

    class Head:
        clips = 1.0

        def __init__(self, rows, labels, *_):
            self.rows, self.labels = rows, labels

        def scores(self, rows):
            heard.append({*np.sign(np.concatenate([self.rows, rows])[:, 0])})
            return np.zeros((len(rows), len(self.labels)))

    monkeypatch.setattr(fit_calibration.linear, "fit", Head)
    space = background.none_for(DIM)
    assert list(fit_calibration.heard(space, "centroid", x, speakers, np.arange(len(x)).astype(str), sources))
    assert {len(signs) for signs in heard} == {1}
    assert {sign for signs in heard for sign in signs} == {1.0, -1.0}


def test_the_command_writes_a_file_and_judges(tmp_path, monkeypatch, capsys):
    speakers = [(name, name.partition("_")[0]) for name in list_examples()]
    rows = "".join(f"{trill.example(name)},{speaker},{speaker}\n" for name, speaker in speakers)
    (tmp_path / "manifest.csv").write_text(f"path,label,speaker\n{rows}")
    monkeypatch.setattr(fit_calibration, "DRAWS", 10)
    fit_calibration.main(["mobilenet", str(tmp_path), "-o", str(tmp_path / "made.npz")])
    found = background.read(tmp_path / "made.npz")
    assert found.model == trill.load().card.identity
    assert trill.PersonalHead(background=tmp_path / "made.npz").labels == ()
    capsys.readouterr()
    fit_calibration.main(["mobilenet", str(tmp_path), "--judge"])
    assert re.search(r": 1 labels, 1 clips, logistic: [\d.]+% right, [\d.]+% named rightly, ", capsys.readouterr().out)


def test_too_little_speech_is_said(speech):
    few = [column[:8] for column in speech]
    with pytest.raises(ValueError, match=r"two halves of speakers are needed, got 1 speakers\. Give more speech"):
        fit_calibration.fit(*few, toy().card)


def test_nothing_heavy_is_imported():
    code = (
        "import numpy, sys, trill; head = trill.PersonalHead(); head.add('a', trill.example('anna_calm'));"
        "head.predict(trill.example('ben_calm')); import trill.verification;"
        "print({'scipy', 'sklearn', 'keras', 'tensorflow'} & {name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
