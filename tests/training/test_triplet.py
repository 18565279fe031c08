"""The miner, the hinge and the objective against loops; gradients that are numbers whatever the embeddings."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.oracles import triplet as oracle
from trill.training.triplet import MARGIN, TripletObjective, Triplets, hinges, semi_hard, squared_distances


@st.composite
def batches(draw):
    """Distances (small whole numbers: many ties; not even symmetric), clips with 1, 2, 3 or more rows, and how many
    positives: 1, all, or in between."""
    rows = draw(st.integers(2, 9))
    distances = draw(arrays.arrays(np.float32, (rows, rows), elements=st.integers(0, draw(st.integers(0, 5)))))
    clips = draw(arrays.arrays(np.int32, rows, elements=st.integers(0, draw(st.integers(0, rows)))))
    return distances, clips, draw(st.sampled_from([1, rows - 1]) | st.integers(1, rows - 1))


def counted(triplets):
    """Those that count, as the oracle tells them."""
    anchor, positive, negative, valid = (keras.ops.convert_to_numpy(part) for part in triplets)
    assert {part.dtype for part in (anchor, positive, negative)} == {np.dtype("int32")}
    return list(zip(anchor[valid].tolist(), positive[valid].tolist(), negative[valid].tolist(), strict=True))


@settings(max_examples=300, deadline=None)
@given(batches())
def test_semi_hard_is_the_definition(batch):
    distances, clips, max_positives = batch
    mined = semi_hard(distances, clips, max_positives)
    assert counted(mined) == oracle.semi_hard(distances, clips, max_positives)
    assert [tuple(part.shape) for part in mined] == [(len(clips) * max_positives,)] * 4
    assert np.all(np.diff(mined.anchor) >= 0)


@settings(max_examples=100, deadline=None)
@given(batches(), st.sampled_from([0.2, 1.0, 2.5]))
def test_hinges_are_the_definition(batch, margin):
    distances, clips, max_positives = batch
    losses = np.asarray(hinges(distances, semi_hard(distances, clips, max_positives), margin))
    expected = oracle.objective(distances, clips, margin, max_positives)
    count = len(oracle.semi_hard(distances, clips, max_positives)) or 1
    assert losses.sum() / count == pytest.approx(expected["loss"], abs=1e-5)
    assert (losses > 0).sum() / count == pytest.approx(expected["violating"])


def line(*places):
    """Distances of points on a line."""
    places = np.array(places, np.float32)
    return np.abs(places[:, None] - places)


@pytest.mark.parametrize(
    ("distances", "clips", "triplets"),
    [
        pytest.param(line(0, 2, 1, 3, 4), [7, 7, 8, 9, 9], (0, 1, 3), id="nearer negatives are too hard"),
        pytest.param(line(0, 2, 2, 5, 9), [7, 7, 8, 9, 9], (0, 1, 3), id="one as far as the positive is not farther"),
        pytest.param(line(0, 9, 1, 5, 3), [7, 7, 8, 9, 9], (0, 1, 3), id="none farther: the farthest"),
        pytest.param(line(0, 9, 5, -5, 3), [7, 7, 8, 9, 9], (0, 1, 2), id="none farther, two as far: the first"),
        pytest.param(line(0, 2, -3, 3, 9), [7, 7, 8, 9, 9], (0, 1, 2), id="two as close: the first"),
        pytest.param(line(0, 2, 2, 2, 2), [7, 7, 8, 8, 9], (0, 1, 2), id="all as far as the positive: the first"),
        pytest.param(line(0, 0, 0, 0, 0), [7, 7, 8, 8, 9], (0, 1, 2), id="two clips sound the same"),
    ],
)
def test_the_first_anchor_of(distances, clips, triplets):
    assert counted(semi_hard(distances, np.array(clips, np.int32)))[0] == triplets


@pytest.mark.parametrize("max_positives", [1, 3])
@pytest.mark.parametrize("clips", [[3, 3, 3, 3], [1, 2, 3, 4]], ids=["one clip", "no clip twice"])
def test_nothing_counts_without_positive_or_negative(clips, max_positives):
    embeddings = tf.Variable(np.random.default_rng(0).normal(size=(4, 3)))
    with tf.GradientTape() as tape:
        figures = TripletObjective(max_positives=max_positives)({"embedding": embeddings}, np.array(clips, np.int32))
    assert {name: float(value) for name, value in figures.items()} == {"loss": 0, "violating": 0}
    assert not np.any(tape.gradient(figures["loss"], embeddings))


def test_a_clip_without_partner_is_only_a_negative():
    distances, clips = line(0, 1, 2, 9, 4), np.array([7, 7, 8, 9, 9], np.int32)
    assert [triplet[0] for triplet in counted(semi_hard(distances, clips))] == [0, 1, 3, 4]
    assert counted(semi_hard(distances, clips))[0] == (0, 1, 2)
    losses = hinges(distances, semi_hard(distances, clips), margin=1.5)
    assert np.asarray(losses).tolist() == [0.5, 0, 0, 0, 2.5]


def test_a_triplet_that_does_not_count_costs_nothing():
    distances = line(0, 5, 1)
    triplets = Triplets(*np.array([[0, 1], [1, 0], [2, 2]], np.int32), np.array([False, True]))
    assert np.asarray(hinges(distances, triplets, margin=1)).tolist() == [0, 2]


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.integers(-3, 3)),
    st.sampled_from([1e-3, 1.0, 1e4]),
)
def test_distances_are_the_definition(embeddings, size):
    distances = np.asarray(squared_distances(embeddings * np.float32(size)))
    assert distances.dtype == np.float32
    np.testing.assert_allclose(distances, oracle.squared_distances(embeddings), atol=1e-6)
    assert distances.min() >= 0
    assert distances.max() <= 4


@pytest.mark.parametrize("max_positives", [1, 2, 11])
@pytest.mark.parametrize("seed", range(5))
def test_objective_is_the_definition(seed, max_positives):
    """Loss and share of the same embeddings in float64, for clips drawn at random: some once, some often."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(12, 3))
    clips = rng.integers(0, 5, 12).astype(np.int32)
    figures = TripletObjective(max_positives=max_positives)({"embedding": embeddings.astype(np.float32)}, clips)
    expected = oracle.objective(oracle.squared_distances(embeddings), clips, MARGIN, max_positives)
    assert {name: float(value) for name, value in figures.items()} == pytest.approx(expected, abs=1e-6)
    assert 0 < expected["violating"] < 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_objective_is_computed_in_float32_in_mixed_precision(dtype):
    rng = np.random.default_rng(0)
    embeddings = keras.ops.cast(rng.normal(size=(10, 4)), dtype)
    clips = np.repeat(np.arange(5, dtype=np.int32), 2)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        figures = TripletObjective()({"embedding": embeddings}, clips)
    finally:
        keras.config.set_dtype_policy(policy)
    exact = np.asarray(keras.ops.cast(embeddings, "float32"))
    expected = oracle.objective(oracle.squared_distances(exact), clips, MARGIN, 1)
    assert {value.dtype for value in figures.values()} == {tf.float32}
    assert {name: float(value) for name, value in figures.items()} == pytest.approx(expected, abs=1e-6)
    assert squared_distances(embeddings).dtype == tf.float32


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@settings(max_examples=50, deadline=None)
@given(
    embeddings=arrays.arrays(np.float32, (6, 2), elements=st.integers(-1, 1)),
    clips=arrays.arrays(np.int32, 6, elements=st.integers(0, 3)),
)
def test_gradients_are_numbers(dtype, embeddings, clips):
    """Small whole numbers: rows of zeros, rows that are the same, rows that point the same or the opposite way."""
    embeddings = tf.Variable(tf.cast(embeddings, dtype))
    with tf.GradientTape() as tape:
        loss = TripletObjective(max_positives=2)({"embedding": embeddings}, clips)["loss"]
    gradient = tf.cast(tape.gradient(loss, embeddings), "float32").numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 10  # and of a size to step by


def test_gradient_is_the_slope():
    rng = np.random.default_rng(1)
    embeddings, direction = rng.normal(size=(2, 8, 3))
    clips = np.repeat(np.arange(4, dtype=np.int32), 2)
    variable = tf.Variable(embeddings.astype(np.float32))
    with tf.GradientTape() as tape:
        loss = TripletObjective()({"embedding": variable}, clips)["loss"]
    slope = np.vdot(tape.gradient(loss, variable), direction)
    ahead, behind = (
        oracle.objective(oracle.squared_distances(embeddings + step * direction), clips, MARGIN, 1)["loss"]
        for step in (1e-6, -1e-6)
    )
    assert abs(slope) > 0.01
    assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-4)


def test_batch_size_may_be_unknown_when_traced():
    objective = TripletObjective(max_positives=2)
    traced = tf.function(
        lambda embeddings, clips: objective({"embedding": embeddings}, clips),
        input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None], tf.int32)],
    )
    for rows in (4, 7):
        embeddings = np.random.default_rng(rows).normal(size=(rows, 3))
        clips = np.arange(rows, dtype=np.int32) // 3
        expected = oracle.objective(oracle.squared_distances(embeddings), clips, MARGIN, 2)
        figures = traced(embeddings.astype(np.float32), clips)
        assert {name: float(value) for name, value in figures.items()} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("margin", [0, -0.1, float("nan")])
def test_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match=rf"margin must be positive, got {margin}\. The default is 0\.2\."):
        TripletObjective(margin)


ON_JAX = """
import jax, keras, numpy as np
from tests.oracles import triplet as oracle
from trill.training.triplet import MARGIN, TripletObjective, semi_hard
assert keras.backend.backend() == "jax"
rng = np.random.default_rng(0)
for max_positives in (1, 7):
    mine = jax.jit(lambda distances, clips: semi_hard(distances, clips, max_positives))
    objective = TripletObjective(max_positives=max_positives)
    learn = jax.jit(jax.value_and_grad(lambda e, clips: objective({"embedding": e}, clips)["loss"]))
    for trial in range(50):
        distances = rng.integers(0, 1 + trial % 5, (8, 8)).astype(np.float32)
        clips = rng.integers(0, 1 + trial % 6, 8).astype(np.int32)
        *rows, valid = (np.asarray(part) for part in mine(distances, clips))
        triplets = list(zip(*(part[valid].tolist() for part in rows), strict=True))
        assert triplets == oracle.semi_hard(distances, clips, max_positives), (distances, clips)
        embeddings = rng.normal(size=(8, 3)).astype(np.float32)
        expected = oracle.objective(oracle.squared_distances(embeddings), clips, MARGIN, max_positives)["loss"]
        np.testing.assert_allclose(learn(embeddings, clips)[0], expected, atol=1e-6)
        _, gradient = learn(np.rint(embeddings / 2), clips)  # rows of zeros, rows that are the same
        assert np.isfinite(gradient).all() and np.abs(gradient).max() < 10, (embeddings, clips)
"""


def test_jax_mines_the_same_under_jit():
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[2]  # where `tests` is found
    subprocess.run([sys.executable, "-c", ON_JAX], check=True, env=environment, cwd=root)
