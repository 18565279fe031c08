"""Alterations against their definitions, and scores of altered sound against the arithmetic written out."""

import csv
import dataclasses

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import trill
from noss import conditions, protocol, results
from noss.conditions import ALTERATIONS, Altered, alter
from noss.config import NOSS, REFEREE
from noss.tasks import CorpusError
from tests.noss import made
from tests.noss.clips import FUNCTIONS, noss, write_clips
from tests.oracles.protocol import ridge
from trill import audio

RATE = 16_000


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Two noises in a folder."""
    folder = tmp_path_factory.mktemp("street")
    for index, seconds in enumerate((1, 3)):
        sound = np.random.default_rng(index).uniform(-0.1, 0.1, seconds * RATE)
        soundfile.write(folder / f"{index}.wav", sound, RATE, "FLOAT")
    return folder


def tone(hertz, seconds=1.0, rate=RATE):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("name", "snr_db"), [("noise-20dB", 20), ("noise-10dB", 10), ("noise-0dB", 0)])
def test_noise_is_so_much_softer(street, name, snr_db):
    [condition] = conditions.conditions([name], street)
    clean = tone(440, 2)
    added = (alter(clean, RATE, condition) - clean).astype(np.float64)
    assert 20 * np.log10(np.linalg.norm(clean) / np.linalg.norm(added)) == pytest.approx(snr_db, abs=1e-3)


def test_the_telephone_keeps_its_band():
    [condition] = conditions.conditions(["telephone"])
    kept = {hertz: np.std(alter(tone(hertz), RATE, condition)) / np.std(tone(hertz)) for hertz in
            (60, 200, 400, 1_000, 3_000, 3_700, 5_000, 7_000)}  # fmt: skip
    assert all(kept[hertz] == pytest.approx(1, abs=0.02) for hertz in (400, 1_000, 3_000))
    assert all(kept[hertz] < 0.05 for hertz in (60, 200, 3_700, 5_000, 7_000))


def test_the_telephone_has_eight_bits():
    """Mu-law's error is 38 dB below a loud tone; that of linear 8 bits would be 12 dB less of a soft one."""
    [condition] = conditions.conditions(["telephone"])
    for loudness in (1.0, 0.05):
        clean = loudness * tone(1_013.7)  # no divisor of 8 kHz
        middle = slice(1_000, -1_000)
        error = (alter(clean, RATE, condition) - clean)[middle]
        assert 33 < 20 * np.log10(np.std(clean[middle]) / np.std(error)) < 43


@settings(deadline=None, max_examples=30)
@given(length=st.integers(1, 4_000), name=st.sampled_from(sorted(ALTERATIONS)))
def test_what_is_drawn_follows_from_the_sound_alone(street, length, name):
    sound = np.random.default_rng(length).uniform(-0.9, 0.9, length).astype(np.float32)
    [condition] = conditions.conditions([name], street if ALTERATIONS[name].noisy else None)
    before = sound.copy()
    found = alter(sound, RATE, condition)
    np.testing.assert_array_equal(sound, before)
    assert found.shape == sound.shape
    assert found.dtype == np.float32
    assert np.abs(found).max() <= 1
    np.testing.assert_array_equal(alter(sound.copy(), RATE, condition), found)


def test_other_sounds_get_other_noise(street):
    [condition] = conditions.conditions(["noise-10dB"], street)
    added = [alter(sound, RATE, condition) - sound for sound in (tone(440, 0.5), tone(441, 0.5))]
    assert abs(np.corrcoef(*added)[0, 1]) < 0.9


def test_a_condition_knows_its_noise_by_content(street, tmp_path):
    [before] = conditions.conditions(["noise-10dB"], street)
    telephone, opus = conditions.conditions(["telephone", "opus-12k"])
    for file in street.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    [moved] = conditions.conditions(["noise-10dB"], tmp_path)
    assert moved.config(REFEREE) == before.config(REFEREE)
    soundfile.write(tmp_path / "0.wav", np.ones(100) / 9, RATE)
    [changed] = conditions.conditions(["noise-10dB"], tmp_path)
    known = {each.fingerprint("x") for each in (before, changed, telephone, opus)} | {before.fingerprint("y"), "x"}
    assert len(known) == 6
    assert len({each.config(REFEREE).id for each in (before, changed, telephone)} | {REFEREE.id}) == 4


@pytest.mark.parametrize(
    ("names", "noisy", "said"),
    [
        (["rain"], False, "a condition must be one of noise-20dB, .*got rain"),
        (["noise-10dB"], False, "got noise-10dB without noise"),
        (["telephone"], True, "got noise for no condition"),
        (["telephone", "telephone"], False, "asked for once"),
    ],
)
def test_says_what_conditions_there_are(street, names, noisy, said):
    with pytest.raises(ValueError, match=said):
        conditions.conditions(names, street if noisy else None)


def test_a_representation_hears_the_altered_sound(tiny):
    embedder = trill.load(tiny.tflite)
    [condition] = conditions.conditions(["opus-12k"])
    sound = audio.read(trill.example("anna_calm"))
    altered = Altered(embedder, condition)
    assert (altered.name, altered.sample_rate) == (f"{embedder.name}, opus-12k", RATE)
    assert altered.threads == embedder.model.threads
    heard = embedder.embed_windows(alter(sound, RATE, condition))
    np.testing.assert_array_equal(altered.embed_windows(sound), heard)
    assert not np.array_equal(heard, embedder.embed_windows(sound))


# Scores.


def judged(config, kind="classification", metric="uar", **options):
    labels, speakers, vectors = made.corpus(num_speakers=10, clips=8)
    if kind == "regression":
        labels = vectors @ np.arange(vectors.shape[1]) + 0.0
    task, utterances = made.task(kind, metric, **options), made.utterances(labels, speakers)
    clean = made.embeddings(vectors)
    return task, utterances, clean, protocol.evaluate(task, utterances, clean, config, quiet=True), vectors


@pytest.mark.parametrize("config", [REFEREE, dataclasses.replace(NOSS, classifiers=(("lda", (0.5, 0.1)),))])
def test_sound_that_stays_as_it_is_scores_as_it_did(config):
    task, utterances, clean, plain, _ = judged(config)
    found = conditions.evaluate(task, utterances, clean, clean, plain, config)
    assert found.scores == plain.scores
    assert [each.setting for each in found.outcomes] == [each.setting for each in plain.outcomes]
    for one, other in zip(found.outcomes, plain.outcomes, strict=True):
        np.testing.assert_array_equal(one.predicted, other.predicted)


def test_learned_from_clean_and_tested_on_altered_by_hand():
    config = dataclasses.replace(REFEREE, classifiers=(("ridge", (0.1, 1.0)),))
    task, utterances, clean, plain, vectors = judged(config, "regression", "mae")
    other = (vectors + np.random.default_rng(1).normal(size=vectors.shape)).astype(np.float32)
    found = conditions.evaluate(task, utterances, clean, made.embeddings(other), plain, config)
    targets, rows = plain.truth, vectors.astype(np.float32)
    drawn = {each.name: each for each in protocol.splits_of(task, utterances, config)}
    errors = []
    for outcome in found.outcomes:
        learned = np.union1d(drawn[outcome.name].train, drawn[outcome.name].dev)
        said = ridge(rows[learned], targets[learned], other[outcome.items], outcome.setting.strength)
        np.testing.assert_allclose(outcome.predicted, said, rtol=1e-4, atol=1e-4)
        errors += np.abs(said - targets[outcome.items]).tolist()
    assert found.score == pytest.approx(np.mean(errors), rel=1e-4)
    assert found.score > 1.2 * plain.score


@pytest.mark.parametrize("aggregation", ["mean", "mode"])
def test_clips_that_cannot_be_altered_are_not_tested_but_learned_from(aggregation):
    config = dataclasses.replace(REFEREE, aggregations=(aggregation,))
    task, utterances, _, _, vectors = judged(REFEREE)
    clean = made.embeddings(vectors, np.full(len(vectors), 3))
    plain = protocol.evaluate(task, utterances, clean, config, quiet=True)
    tested = plain.outcomes[0].items
    lost = dict.fromkeys(tested[1:].tolist(), "too long")
    altered = made.embeddings(vectors, np.full(len(vectors), 3), failed=lost)
    found = conditions.evaluate(task, utterances, clean, altered, plain, config)
    assert found.failed == {utterances[each].name: "too long" for each in lost}
    assert found.outcomes[0].items.tolist() == tested[:1].tolist()
    assert found.outcomes[0].predicted.tolist() == plain.outcomes[0].predicted[:1].tolist()
    assert found.outcomes[0].sizes["test"] == 1
    nothing = made.embeddings(vectors, failed=dict.fromkeys(tested.tolist(), "too long"))
    with pytest.raises(CorpusError, match=f"{plain.outcomes[0].name} has none left: too long"):
        conditions.evaluate(task, utterances, clean, nothing, plain, config)
    for one, other in zip(found.outcomes[1:], plain.outcomes[1:], strict=True):
        np.testing.assert_array_equal(one.predicted, other.predicted)


def test_pairs_have_no_classifier():
    task, utterances, clean, plain, _ = judged(REFEREE)
    pairs = dataclasses.replace(task, kind="verification", metric="eer")
    with pytest.raises(ValueError, match="classes or numbers, got verification"):
        conditions.evaluate(pairs, utterances, clean, clean, plain, REFEREE)


# As a command.


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ears.py").write_text(FUNCTIONS)
    return write_clips(tmp_path / "corpus")


def run(desk, *arguments, code=0):
    asked = ("--manifest", desk, "--label", "loudness", "--protocol", "referee", "-o", "out", "-q")
    return noss("run", "-r", "log-mel", *asked, *arguments, code=code)


def test_a_run_under_conditions_and_their_table(desk, street, tmp_path):
    asked = ("--condition", "telephone", "--condition", "noise-0dB", "--noise", street)
    run(desk)
    printed = run(desk, *asked)
    assert printed.count("(was there)") == 1
    found = {each.key.setting: each for each in results.load_all("out")}
    assert set(found) == {"", "telephone", "noise-0dB"}
    assert found["telephone"].evaluation.config["name"].startswith("referee-telephone-")
    assert len(list((tmp_path / "out/embeddings").glob("*.journal"))) == 3
    assert run(desk, *asked).count("(was there)") == 3

    text = noss("table", "out", "--conditions")
    scores = {setting: each.evaluation.score for setting, each in found.items()}
    assert f"{scores['noise-0dB'] - scores['']:+.3f} [" in text
    rows = list(csv.DictReader(noss("table", "out", "--conditions", "--csv").splitlines()))
    assert [(row["condition"], row["task"]) for row in rows] == [("noise-0dB", "mine"), ("telephone", "mine")]
    for row in rows:
        clean, altered = float(row["clean"]), float(row["altered"])
        assert (clean, altered) == pytest.approx((scores[""], scores[row["condition"]]), abs=1e-6)
        assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
        assert float(row["difference"]) == pytest.approx(altered - clean, abs=2e-6)
    assert f"{scores['telephone']:.3f}" in noss("table", "out", "--setting", "telephone")


def test_other_noise_is_heard_anew(desk, street, tmp_path):
    run(desk, "--condition", "noise-0dB", "--noise", street)
    soundfile.write(tmp_path / "hum.wav", tone(50, 0.5), RATE)
    (tmp_path / "hum").mkdir()
    (tmp_path / "hum.wav").rename(tmp_path / "hum/0.wav")
    assert run(desk, "--condition", "noise-0dB", "--noise", tmp_path / "hum").count("(was there)") == 1


def test_one_against_another_on_altered_sound(desk, street):
    asked = ("--condition", "noise-0dB", "--noise", street)
    run(desk, *asked, "-r", "ears.py:level", "--jobs", "2")
    clean = noss("compare", "out", "log-mel", "level")
    altered = noss("compare", "out", "log-mel", "level", "--condition", "noise-0dB")
    assert "mine" in altered
    assert clean.splitlines()[0] == altered.splitlines()[0]
    found = {(each.key.representation.rpartition(":")[2], each.key.setting): each for each in results.load_all("out")}
    assert f"{found['log-mel-1', 'noise-0dB'].evaluation.score:7.3f}" in altered
    assert "must mean one" in noss("compare", "out", "log-mel", "level", "--condition", "opus-12k", code=2)


def test_a_table_of_losses_needs_some(desk):
    run(desk)
    assert "needs scores under conditions" in noss("table", "out", "--conditions", code=2)
