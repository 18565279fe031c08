"""Labels, splits, scores, heads and layers of fine-tuning, each against its definition."""

import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trill.errors import ModelError
from trill.networks import saving
from trill.networks.frontend import FrontendConfig
from trill.networks.saving import NetworkConfig
from trill.training.finetuning import frozen, heads, labelled, layers, scores, splits
from trill.training.finetuning.heads import Heads
from trill.training.finetuning.labelled import Head, Labelled
from trill.training.finetuning.learner import SharedAdam

MOOD = Head("mood", "mood", labels=("calm", "glad", "sad"))
AGE = Head("age", "age", "regression", center=30.0, spread=10.0)


def clips(speakers, moods, by_clip=False):
    names = tuple(f"{number}.wav" for number in range(len(speakers)))
    return Labelled(names, np.array(speakers, str), (MOOD,), {"mood": np.array(moods, np.int32)}, by_clip)


# Splits.


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 30), st.integers(1, 4), st.integers(0, 5))
def test_speakers_are_in_one_part_and_labels_in_all(num_speakers, each, seed):
    speakers = np.repeat(np.arange(num_speakers), 3 * each)
    found = clips(speakers, np.tile([0, 1, 2], num_speakers * each))
    split = splits.by_speaker(found, seed)
    parts = [split.train, split.dev, split.test]
    assert sorted(np.concatenate(parts)) == list(range(len(speakers)))
    whose = [set(found.speakers[part]) for part in parts]
    assert sum(map(len, whose)) == len(set.union(*whose))
    assert all(set(found.values["mood"][part]) == {0, 1, 2} for part in parts)
    if num_speakers % 5 == 0:
        assert [len(names) for names in whose] == [3 * num_speakers // 5, num_speakers // 5, num_speakers // 5]


def test_labels_of_three_speakers_each_are_in_all_parts():
    """Where each speaker has one label, and chance alone would seldom do."""
    found = clips(np.arange(9), np.repeat([0, 1, 2], 3))
    for seed in range(5):
        split = splits.by_speaker(found, seed)
        assert all(set(found.values["mood"][part]) == {0, 1, 2} for part in (split.train, split.dev, split.test))


def test_another_seed_is_another_split_and_the_same_the_same():
    found = clips(np.repeat(np.arange(20), 3), np.tile([0, 1, 2], 20))
    one, again, other = (splits.by_speaker(found, seed).test.tolist() for seed in (0, 0, 1))
    assert one == again != other


def test_within_speakers_each_speaker_is_in_all_parts():
    found = clips(["a"] * 20 + ["b"] * 3 + ["c"] * 2, [0, 1, 2] * 8 + [0])
    split = splits.within_speakers(found, 0)
    count = {
        part: [int((found.speakers[getattr(split, part)] == who).sum()) for who in "abc"]
        for part in ("train", "dev", "test")
    }
    assert count == {"train": [16, 1, 2], "dev": [2, 1, 0], "test": [2, 1, 0]}
    with pytest.raises(ValueError, match="speakers with three clips or more"):
        splits.within_speakers(clips(["a", "a", "b"], [0, 1, 2]), 0)


# Scores.


def ccc_by_hand(x, y):
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_scores_are_their_definitions():
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    found = scores.compare(MOOD, truth, {"one": said}, np.arange(50) % 7, {})
    assert found["UAR"]["one"].value == pytest.approx(np.mean([(said[truth == k] == k).mean() for k in range(3)]))
    assert found["accuracy"]["one"].value == pytest.approx((said == truth).mean())
    x, y = rng.normal(30, 9, 50), rng.normal(30, 9, 50)
    found = scores.compare(AGE, x, {"one": y}, np.arange(50) % 7, {})
    assert found["CCC"]["one"].value == pytest.approx(ccc_by_hand(x, y))
    assert found["MAE"]["one"].value == pytest.approx(np.abs(x - y).mean())


def test_intervals_are_those_of_resampled_speakers():
    rng = np.random.default_rng(1)
    truth, speakers = rng.integers(0, 3, 200), np.repeat(np.arange(20), 10)
    said = np.where(rng.random(200) < np.repeat(rng.random(20), 10), truth, (truth + 1) % 3)  # speakers differ
    found = scores.compare(MOOD, truth, {"a": truth, "b": said}, speakers, {"b": "a"})
    drawn = []
    for _ in range(2_000):
        rows = np.concatenate([np.flatnonzero(speakers == who) for who in rng.integers(0, 20, 20)])
        drawn.append((truth[rows] == said[rows]).mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    score = found["accuracy"]["b"]
    assert (score.low, score.high) == (pytest.approx(low, abs=0.03), pytest.approx(high, abs=0.03))
    assert score.high - score.low > 1.5 * 2 * 1.96 * np.sqrt(score.value * (1 - score.value) / 200)  # not of clips
    difference = found["accuracy"]["b - a"]
    assert difference.value == pytest.approx(score.value - 1)
    assert difference.high < 0


def test_one_speaker_has_no_interval():
    score = scores.compare(MOOD, np.array([0, 1]), {"one": np.array([0, 0])}, np.array(["a", "a"]), {})["UAR"]["one"]
    assert (score.value, score.low, score.high) == (0.5, -np.inf, np.inf)


# Heads.


def softmax(x, axis):
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)


def clip_by_hand(made, rows, number, head):
    """A clip's scores, written from the definition: rows `(num_windows, dim)`."""
    kernel, bias = (getattr(made, f"{name}{number}").numpy().astype(float) for name in ("kernel", "bias"))
    rows = (rows - made.mean.numpy()) / made.scale.numpy()
    if made.pooling == "mean":
        return rows.mean(axis=0) @ kernel + bias
    if made.pooling == "attention":
        weights = softmax((rows @ made.attention.numpy())[:, 0], 0)
        return weights @ rows @ kernel + bias
    window = rows @ kernel + bias
    window = window if head.numeric else softmax(window, 1)
    pooled = (window * softmax(getattr(made, f"alpha{number}").numpy() * window, 0)).sum(axis=0)
    return pooled if head.numeric else np.log(pooled)


def random_heads(pooling, dim=5, seed=0, weights=None):
    made = Heads((MOOD, AGE), dim, pooling, weights)
    rng = np.random.default_rng(seed)
    for variable in made.weights:
        variable.assign(rng.normal(size=variable.shape) + 2 * (variable.name == "scale"))
    return made


@pytest.mark.parametrize("pooling", heads.POOLINGS)
def test_pooling_is_its_definition_and_sees_no_padding(pooling):
    made = random_heads(pooling)
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2, 4, 5)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32)
    found = made.clip_scores(rows, mask)
    for number, head in enumerate((MOOD, AGE)):
        expected = [clip_by_hand(made, rows[k, : int(mask[k].sum())], number, head) for k in range(2)]
        np.testing.assert_allclose(found[head.name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["attention", "autopool"])
def test_poolings_begin_as_the_mean(pooling):
    rows, mask = np.random.default_rng(0).normal(size=(1, 4, 5)).astype(np.float32), np.ones((1, 4), np.float32)
    mean, other = Heads((AGE,), 5, "mean"), Heads((AGE,), 5, pooling)
    for made in (mean, other):
        made.set_linear(np.zeros(5), np.ones(5), [(np.arange(5.0)[:, None], np.ones(1))])
    np.testing.assert_allclose(other.clip_scores(rows, mask)["age"], mean.clip_scores(rows, mask)["age"], rtol=1e-5)


@pytest.mark.parametrize("kind", ["regression", "mae"])
def test_losses_are_their_definitions_and_skip_what_is_unknown(kind):
    weights = {"mood": np.array([0.5, 1.0, 2.0])}
    made = random_heads("mean", weights=weights)
    made.heads = (MOOD, dataclasses.replace(AGE, kind=kind))
    rows = np.random.default_rng(4).normal(size=(5, 1, 5)).astype(np.float32)
    mood, age = np.array([0, 2, -1, 1, 2], np.int32), np.array([0.3, np.nan, -1, 2, 0.5], np.float32)
    targets = {"mask": np.ones((5, 1), np.float32), "mood": mood, "age": age}
    found = made(rows.reshape(5, 5), targets)
    logits = np.stack([clip_by_hand(made, row, 0, MOOD) for row in rows])
    known = mood >= 0
    losses = -np.log(softmax(logits, 1))[known, mood[known]]
    expected = (losses * weights["mood"][mood[known]]).sum() / weights["mood"][mood[known]].sum()
    assert float(found["mood"]) == pytest.approx(expected, rel=1e-5)
    said = np.array([clip_by_hand(made, row, 1, AGE)[0] for row in rows])
    there = ~np.isnan(age)
    error = np.abs(said - age)[there].mean() if kind == "mae" else 1 - ccc_by_hand(said[there], age[there])
    assert float(found["age"]) == pytest.approx(error, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(expected + error, rel=1e-4)


def test_a_number_is_told_as_the_manifest_has_it():
    assert heads.decide(AGE, np.array([[0.5]])).tolist() == [35.0]
    assert heads.decide(MOOD, np.array([[0.1, 0.3, 0.2]])).tolist() == [1]


# The frozen probe.


def test_the_probe_is_a_linear_head_and_knows_two_labels_from_three():
    rng = np.random.default_rng(0)
    values = np.repeat([0, 2], 40)
    rows = rng.normal(size=(80, 3)) + 3 * (values == 2)[:, None]
    (kernel, bias), dev = frozen.fit(
        MOOD, {"train": rows, "dev": rows}, {"train": values, "dev": values}, balanced=True
    )
    assert (kernel.shape, bias.shape) == ((3, 3), (3,))
    said = heads.decide(MOOD, rows @ kernel + bias)
    assert set(said) <= {0, 2}  # the middle label was never heard
    assert dev == pytest.approx(scores.score(MOOD, values, said))
    assert dev > 0.6


def test_the_probe_of_numbers():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3))
    ages = 30 + 10 * rows[:, 0]
    (kernel, bias), dev = frozen.fit(AGE, {"train": rows, "dev": rows}, {"train": ages, "dev": ages}, balanced=True)
    assert dev > 0.5
    assert np.corrcoef(heads.decide(AGE, rows @ kernel + bias), ages)[0, 1] > 0.999


# Layers.


def network(architecture="mobilenet", **arguments):
    keras.utils.set_random_seed(0)
    return saving.build(NetworkConfig(architecture, {"width": 0.1, **arguments}, FrontendConfig()))


DIVIDED = [
    ("mobilenet", "0"),
    ("mobilenet", "all"),
    *((name, "2") for name in ("mobilenet", "mobilenet_v3", "resnetish")),
]
SLOWLY = [(name, unfreeze) for name in ("mobilenet_v3", "resnetish") for unfreeze in ("0", "all")]


@pytest.mark.parametrize(
    ("architecture", "unfreeze"), [*DIVIDED, *(pytest.param(*both, marks=pytest.mark.slow) for both in SLOWLY)]
)
def test_a_divided_network_is_the_network(architecture, unfreeze):
    net = network(architecture, **({} if architecture == "resnetish" else {"batch_norm": True}))
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 15_600)).astype(np.float32)
    expected = np.array(net(sound)["embedding"])
    parts = layers.divide(net, unfreeze)
    np.testing.assert_allclose(parts.upper(parts.lower(sound)), expected, rtol=1e-4, atol=1e-5)
    assert {id(v) for v in net.trainable_variables} == {id(v) for v in parts.upper.trainable_variables}
    assert not parts.lower.trainable_variables
    if unfreeze == "2":
        assert {layers.group_of(v.path.partition("/")[0]) for v in net.trainable_variables} == set(parts.depths)
        assert len(parts.depths) == 2
        assert parts.lower.count_params() > 0  # something was left out above


def test_more_blocks_than_there_are_is_all():
    assert layers.divide(network(), "99").depths == layers.divide(network(), "all").depths


def test_blocks_by_name_and_their_depths():
    parts = layers.divide(network(), "block11,block9")
    assert parts.depths == {"block11": 0, "block9": 1}
    names = {variable.path.partition("_")[0] for variable in parts.upper.trainable_variables}
    assert names == {"block9", "block11"}
    depths = {variable.path.partition("_")[0]: parts.depth(variable) for variable in parts.upper.trainable_variables}
    assert depths == {"block11": 0, "block9": 1}


@pytest.mark.parametrize("unfreeze", ["block77", "stem,", "-1"])
def test_blocks_that_are_none(unfreeze):
    with pytest.raises(ValueError, match=r"unfreeze must be .*got '(block77|-1|)'"):
        layers.divide(network(), unfreeze)


def test_a_variable_moves_by_its_share():
    plain, shared = keras.optimizers.Adam(0.1), SharedAdam.of(keras.optimizers.Adam(0.1), [1.0, 0.25])
    moved = []
    for optimizer in (plain, shared):
        variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(2)]
        optimizer.build(variables)
        for gradient in (1.0, -0.5, 2.0):
            optimizer.apply([np.full(3, gradient, np.float32)] * 2, variables)
        moved.append([float(variable.numpy()[0]) - 1 for variable in variables])
    assert moved[1][0] == pytest.approx(moved[0][0], rel=1e-4)
    assert moved[1][1] == pytest.approx(0.25 * moved[0][1], rel=1e-4)


# Heads on disk.


@pytest.fixture
def kept(tmp_path):
    """A small network and its heads."""
    config = NetworkConfig("mobilenet", {"width": 0.1}, name="kept")
    net = saving.build(config)
    path = tmp_path / "best.safetensors"
    made = random_heads("autopool", int(net.output["embedding"].shape[-1]))
    heads.save(made, net, config, path)
    saving.save(net, config, path)
    return path, made


def test_heads_come_back(kept):
    path, made = kept
    found = heads.load(path, made.dim)
    assert (found.heads, found.pooling) == (made.heads, made.pooling)
    for one, other in zip(found.weights, made.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: b"no heads", "holds no heads that can be read"),
        (lambda text: text[: len(text) // 2], "holds no heads that can be read"),
        (lambda text: text.replace(b'\\"format\\": 1', b'\\"format\\": 7'), "has format 7, this version reads 1"),
        (lambda text: text.replace(b"classification", b"clessification"), "a head is a name, a column"),
        (lambda text: text.replace(b"autopool", b"autopoll"), "pooling must be one of"),
        (lambda text: text.replace(b"calm", b'", "'), "holds no heads that can be read|must hold"),
        (lambda text: text.replace(b"kernel1", b"kernel7"), "must hold"),
    ],
)
def test_damaged_heads_are_refused(kept, change, words):
    path, made = kept
    where = heads.beside(path)
    text = where.read_bytes()
    where.write_bytes(change(text))
    assert where.read_bytes() != text
    with pytest.raises(ModelError, match=words):
        heads.load(path, made.dim)


def test_heads_of_another_encoder_are_refused(kept):
    path, made = kept
    with pytest.raises(ModelError, match="must hold"):
        heads.load(path, made.dim + 1)
    config = NetworkConfig("mobilenet", {"width": 0.1}, name="other")
    saving.save(saving.build(config), config, path)
    with pytest.raises(ModelError, match="must be of the encoder beside it"):
        heads.load(path, made.dim)


# Labels.


def write_manifest(folder, rows, columns="path,speaker,mood,age"):
    (folder / "m.csv").write_text("\n".join([columns, *rows]))
    return folder / "m.csv"


GOOD = [f"{n}.wav,s{n % 4},{'ab'[n // 4 % 2]},{20 + n}" for n in range(16)]


def test_labels_are_read(tmp_path):
    path = write_manifest(tmp_path, [*GOOD, "x.wav,s9,,", "y.wav,s0,,33"])
    found = labelled.read(path, ["mood", "age:regression"])
    assert len(found.names) == 17  # one row has neither
    assert [head.labels for head in found.heads] == [("a", "b"), ()]
    assert found.values["mood"].tolist() == [n // 4 % 2 for n in range(16)] + [-1]
    assert found.values["age"].tolist() == [20.0 + n for n in range(16)] + [33.0]
    only = labelled.read(path, ["mood"])
    assert len(only.names) == 16


def test_where_the_speaker_is_the_label_clips_are_drawn(tmp_path):
    path = write_manifest(tmp_path, [f"{n}.wav,s{n % 4},,1" for n in range(16)])
    assert labelled.read(path, ["speaker"]).by_clip


BAD = {
    "one clip": (GOOD[:1], ["mood"], "mood needs two different values, .*m.csv has one, 'a', in 1 clips"),
    "one class": (GOOD[:4], ["mood"], "mood needs two different values, .* has one, 'a', in 4 clips"),
    "a class of one speaker": ([*GOOD, "z.wav,s1,rare,3"], ["mood"], "needs 3 speakers, .*'rare' of .* has 1. Add"),
    "no speakers": ([row.replace(",s1,", ",,") for row in GOOD], ["mood"], "4 of 16 .* have no `speaker`.*--by-clip"),
    "two labels": ([*GOOD, "0.wav,s0,b,20"], ["mood"], "one mood, 0.wav in .* is both 'a' and 'b'"),
    "two speakers": ([*GOOD, "0.wav,s1,a,20"], ["mood"], "one speaker, 0.wav in .* is both 's0' and 's1'"),
    "NaN": ([*GOOD, "z.wav,s1,a,nan"], ["age:regression"], "finite number, z.wav has 'nan'"),
    "infinity": ([*GOOD, "z.wav,s1,a,-inf"], ["age:mae"], "finite number, z.wav has '-inf'"),
    "words": ([*GOOD, "z.wav,s1,a,old"], ["age:mae"], "finite number, z.wav has 'old'"),
    "one number": ([f"{n}.wav,s{n},a,5" for n in range(6)], ["age:mae"], "age needs two different values"),
    "numbers of two": ([f"{n}.wav,s{n % 2},a,{n}" for n in range(6)], ["age:mae"], "age needs 3 speakers, .* has 2"),
    "no column": (GOOD, ["emotion"], "has no 'emotion' but path, speaker, mood, age. Pass --label COLUMN"),
    "a kind": (GOOD, ["age:rank"], "the kind one of classification, regression, mae, got 'age:rank'"),
    "nothing": (GOOD, [], "one or more different columns, got none"),
    "twice": (GOOD, ["age", "age:mae"], "one or more different columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_labels_that_do_not_do(tmp_path, name):
    rows, wanted, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        labelled.read(write_manifest(tmp_path, rows), wanted)


def test_a_manifest_without_speakers(tmp_path):
    path = write_manifest(tmp_path, [f"{n}.wav,{'ab'[n % 2]}" for n in range(6)], "path,mood")
    with pytest.raises(ValueError, match=r"6 of 6 labelled clips .* have no `speaker`"):
        labelled.read(path, ["mood"])
    assert labelled.read(path, ["mood"], by_clip=True).by_clip
    with pytest.raises(ValueError, match="each label needs 3 clips"):
        labelled.read(write_manifest(tmp_path, ["0.wav,a", "1.wav,a", "2.wav,b"], "path,mood"), ["mood"], by_clip=True)
