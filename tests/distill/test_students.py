"""Students: each batch holds what teachers say of its very windows, each term is its formula, a run is resumed."""

import dataclasses
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import trill
from distill import labels, objective, students
from distill.batches import Windows, overlap
from distill.hearing import Recipe
from distill.objective import DistillationObjective, LiveTeacher
from distill.recipes import KIND, read_plan
from distill.targets import Manifest, Targets, TargetsError, open_targets
from distill.writing import write_targets
from tests.distill.made import CLIP, COLUMNS, FRONTEND, WINDOW, Teacher, config, make_cache, map_known
from tests.runs import assert_same_run, files_of, log
from trill.networks import saving
from trill.networks.frontend import FRONTENDS
from trill.training import augment, checkpoints, corpora
from trill.training.cache import Cache, open_cache
from trill.training.recipes import load_recipe

ALL_RECIPES = sorted(Path(__file__).parents[2].glob("recipes/*.toml"))
RECIPES = [path for path in ALL_RECIPES if load_recipe(path.stem).objective["kind"] == KIND]
SHARED = Path(__file__).parents[3] / "shared/teachers"


@pytest.fixture(autouse=True, scope="module")
def _map():
    with map_known():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of sounds, their cache, targets."""
    folder = tmp_path_factory.mktemp("made")
    _, cache = make_cache(folder)
    write_targets(Teacher(), cache, folder / "targets", Recipe((1, 2), components=3), quiet=True)
    return folder


@pytest.fixture
def train(made, tmp_path):
    def trained(*teachers, run="run", targets=(made / "targets",), sounds=(made / "sounds",), options=None, **fields):
        return students.train(
            sounds,
            tmp_path / run,
            config(*teachers, **fields),
            targets,
            cache=made / "cache",
            quiet=True,
            **options or {},
        )

    return trained


# Batches.


def numbered(lengths, hop, tail=0, dim=2):
    """A cache whose samples tell clip and time, and targets whose frames do: sample `t` is `1000 clip + t / 160`."""
    starts = np.cumsum([0, *lengths])
    samples = np.concatenate([1000 * clip + np.arange(n) // 160 for clip, n in enumerate(lengths)]).astype(np.int16)
    names = [f"{clip}" for clip in range(len(lengths))]
    cache = Cache(samples, starts, names, 16_000, {}, {}, names)
    counts = [-(-(n + tail) // hop) for n in lengths]
    frames = np.concatenate([np.stack([np.full(n, clip), np.arange(n)], axis=1) for clip, n in enumerate(counts)])
    clips = np.stack([np.arange(len(lengths)), np.arange(len(lengths)) ** 2], axis=1)
    manifest = Manifest("numbers", "1", cache.content, 16_000, hop, dim, len(lengths), dtype="float32")
    return cache, Targets(manifest, np.cumsum([0, *counts]), frames.astype(np.float32), clips.astype(np.float32))


@pytest.mark.parametrize(("hop", "columns"), [(320, 4), (160, 4), (640, 4), (320, 3), (320, 16), (800, 2)])
def test_targets_are_those_of_the_window(hop, columns):
    lengths = [3_000, 9_000, 100, 16_000, 5_500]
    cache, targets = numbered(lengths, hop, tail=1_000)
    plan = read_plan(
        {
            "kind": "distillation",
            "teacher": [{"targets": "n", "match": "columns"}, {"targets": "n", "statistics": "mean+std"},
                        {"targets": "n", "match": "clip"}],
        }
    )  # fmt: skip
    of_term = {term.name: targets for term in plan.teachers}
    batches = Windows(cache, FRONTEND, plan, of_term, {"n_columns": columns}, {}, 64)
    span = FRONTEND.window_frames * FRONTEND.frame_step
    seen = []
    for windows, found in map(batches, range(4)):
        for row, sound in enumerate(np.rint(windows * 32767).astype(int)):
            clip = round(float(found["n_clip"][row, 0]))
            assert found["n_clip"][row, 1] == clip**2
            if not sound.any():  # silence after a short clip: where in it cannot be told
                continue
            start = (sound[0] - 1000 * clip) * 160
            assert start % hop == 0
            heard = cache.window(clip, start, FRONTEND.window_samples)
            np.testing.assert_array_equal(sound, np.rint(heard * 32767).astype(int))
            # By hand: the number of the frame that lies over each sample, the last one going on.
            frame = np.minimum(np.arange(start, start + span) // hop, np.diff(targets.starts)[clip] - 1)
            by_column = frame[: span // columns * columns].reshape(columns, -1).mean(axis=1)
            np.testing.assert_allclose(found["n_columns"][row, :, 1], by_column, atol=0.01)
            np.testing.assert_allclose(found["n_columns"][row, :, 0], clip, rtol=1e-5)
            whole = np.unique(frame) if frame[-1] < np.diff(targets.starts)[clip] - 1 else frame[::hop]
            np.testing.assert_allclose(found["n_window"][row, [1, 3]], [whole.mean(), whole.std()], rtol=1e-4)
            seen.append((clip, start))
    assert {clip for clip, _ in seen} >= {0, 1, 3, 4}
    assert max(start for clip, start in seen if clip == 3) > 16_000 - span - 2_000  # to the end, and the tail


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_whitened_targets_vary_by_that_power(made, power):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    targets = open_targets(made / "targets")
    plain, whitened = (
        np.concatenate([found["fake_columns"] for _, found in map(batches, range(20))])
        for batches in (
            Windows(cache, FRONTEND, read_plan(config({**COLUMNS, "whiten": whiten}).objective),
                    {"fake_columns": targets}, {"fake_columns": 4}, {}, 8)
            for whiten in (0.0, power)
        )
    )  # fmt: skip
    deviation = np.asarray(targets.frames, np.float64).std(axis=0)
    scale = deviation**-power * np.sqrt(np.square(deviation).sum() / np.square(deviation ** (1 - power)).sum())
    np.testing.assert_allclose(whitened, plain * scale, rtol=1e-4, atol=1e-6)


def test_a_batch_is_a_function_of_its_step(made):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    plan = read_plan(config(COLUMNS).objective)
    targets = {"fake_columns": open_targets(made / "targets")}
    change = augment.build({"gain": {}})
    one, other = (Windows(cache, FRONTEND, plan, targets, {"fake_columns": 4}, {}, 8, 3, change) for _ in range(2))
    for step in (5, 2):
        (x, y), (u, v) = one(step), other(step)
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y["fake_columns"], v["fake_columns"])
    assert not np.array_equal(one(2)[0], one(3)[0])


def test_clips_are_drawn_by_their_length():
    cache, targets = numbered([4_160, 4_160 + 30 * 320, 100], 320)
    plan = read_plan({"kind": "distillation", "teacher": [{"targets": "n"}, {"targets": "n", "match": "clip"}]})
    batches = Windows(cache, FRONTEND, plan, {"n_window": targets, "n_clip": targets}, {}, {}, 1_000)
    counts = np.bincount(batches(0)[1]["n_clip"][:, 0].astype(int))
    np.testing.assert_allclose(counts / 1_000, np.array([6, 36, 1]) / 43, atol=0.05)


def test_originals_have_their_share():
    cache, targets = numbered([9_000, 9_000, 18_000], 320)
    cache = dataclasses.replace(cache, names=["a", "a [variant 1]", "b"])
    rows = {"kind": "distillation", "teacher": [{"targets": "n", "match": "clip"}], "variants": {"speed": {}}}
    plan = read_plan({**rows, "originals": 0.3})
    batches = Windows(cache, FRONTEND, plan, {"n_clip": targets}, {}, {}, 2_000)
    counts = np.bincount(batches(0)[1]["n_clip"][:, 0].astype(int))
    room = batches._room
    expected = [0.3 * room[0] / (room[0] + room[2]), 0.7, 0.3 * room[2] / (room[0] + room[2])]
    np.testing.assert_allclose(counts / 2_000, expected, atol=0.04)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_groups_count_by_a_power_of_their_length(power):
    """Two clips of one group and one of another; within a group by length, as ever."""
    cache, targets = numbered([9_000, 18_000, 100_000], 320)
    rows = {"kind": "distillation", "teacher": [{"targets": "n", "match": "clip"}]}
    plan = read_plan({**rows, "balance": {"column": "source", "power": power}})
    batches = Windows(cache, FRONTEND, plan, {"n_clip": targets}, {}, {}, 4_000, groups=np.array([-1, -1, 3]))
    counts = np.bincount(batches(0)[1]["n_clip"][:, 0].astype(int))
    room = batches._room.astype(float)
    groups = np.array([room[:2].sum(), room[2]]) ** power
    first, second = groups / groups.sum()
    expected = [first * room[0] / room[:2].sum(), first * room[1] / room[:2].sum(), second]
    np.testing.assert_allclose(counts / 4_000, expected, atol=0.03)


def test_triplets_come_in_pairs(made):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    plan = read_plan({"kind": "distillation", "triplet": {}})
    _, targets = Windows(cache, FRONTEND, plan, {}, {}, {}, 8)(0)
    assert targets["clips"][::2].tolist() == targets["clips"][1::2].tolist()
    with pytest.raises(ValueError, match="triplets need an even batch_size"):
        Windows(cache, FRONTEND, plan, {}, {}, {}, 7)


def test_live_teachers_hear_clean_or_augmented(made):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    rows = [{"live": "yamnet", "hears": "clean"}, {"live": "yamnet", "hears": "augmented", "name": "other"}]
    plan = read_plan({"kind": "distillation", "teacher": rows})
    change = augment.build({"gain": {"low_db": -20, "high_db": -20}})
    heard, targets = Windows(cache, FRONTEND, plan, {}, {}, {}, 8, augment=change)(0)
    np.testing.assert_array_equal(targets["augmented"], heard)
    np.testing.assert_allclose(targets["clean"] * 0.1, heard, rtol=1e-5, atol=1e-7)


def test_frames_that_do_not_meet_are_refused():
    cache, targets = numbered([16_000] * 2, 3_000)
    plan = read_plan({"kind": "distillation", "teacher": [{"targets": "n"}]})
    with pytest.raises(TargetsError, match=r"must begin together once a window .+ their hops are \{'n_window': 3000\}"):
        Windows(cache, FRONTEND, plan, {"n_window": targets}, {}, {}, 8)


def test_overlap_averages():
    np.testing.assert_allclose(overlap(6, 48, 8.0), np.kron(np.eye(6), np.full((1, 8), 1 / 8)), atol=1e-7)
    np.testing.assert_allclose(overlap(6, 2, 0.25).sum(axis=1)[:4], 1, atol=1e-6)  # several columns in a frame


# The objective.


def cosine(x, y):
    return (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)


BY_HAND = {
    "mse": lambda x, y: np.mean((x - y) ** 2),
    "cosine": lambda x, y: np.mean(1 - cosine(x, y)),
    "l1+cosine": lambda x, y: np.mean(np.abs(x - y)) - np.mean(np.log(1 / (1 + np.exp(-cosine(x, y))))),
}
TAPS = {"final": (4, 3, 2), "embedding": (6,), "block5": (2, 3, 2)}


def head(made_objective, name, tap):
    kernel, bias = (weight.numpy().astype(float) for weight in made_objective.heads[name].weights)
    return tap.astype(float) @ kernel + bias


@pytest.mark.parametrize("loss", BY_HAND)
def test_terms_are_their_formulas(loss):
    rng = np.random.default_rng(0)
    rows = [
        {"targets": "t", "match": "columns", "loss": loss, "weight": 0.5},
        {"targets": "t", "match": "clip", "loss": loss},
        {"live": "l", "match": "places", "loss": loss, "weight": 2.0},
        {"live": "l", "match": "window", "statistics": "mean+std", "loss": loss},
        {"live": "l", "match": "columns", "tap": "block5", "loss": loss},
    ]
    live = {"l": LiveTeacher(lambda waveform: keras.ops.reshape(waveform, (-1, 2, 3, 5)), (2, 3, 5))}
    plan = read_plan({"kind": "distillation", "teacher": rows})
    layer = DistillationObjective(plan, TAPS, {"t_columns": 3, "t_clip": 3}, live)
    outputs = {name: rng.normal(size=(7, *shape)).astype(np.float32) for name, shape in TAPS.items()}
    targets = {
        "t_columns": rng.normal(size=(7, 4, 3)),
        "t_clip": rng.normal(size=(7, 3)),
        "clean": rng.normal(2, 3, (7, 30)),
    }
    found = layer(outputs, {name: value.astype(np.float32) for name, value in targets.items()})
    place = targets["clean"].reshape(7, 2, 3, 5)
    place = (place - place.mean(axis=(0, 1, 2))) / np.sqrt(place.var(axis=(0, 1, 2)) + 1e-3)
    rows = place.reshape(7, 2, 15)
    expected = {
        "t_columns": (outputs["final"].reshape(7, 4, 6), targets["t_columns"]),
        "t_clip": (outputs["embedding"], targets["t_clip"]),
        "l_places": (outputs["block5"], place),
        "l_window": (outputs["embedding"], np.concatenate([rows.mean(axis=1), rows.std(axis=1)], axis=1)),
        "l_columns": (outputs["block5"].reshape(7, 2, 6), rows),
    }
    assert set(found) == {"loss", *expected}
    for name, (tap, target) in expected.items():
        value = BY_HAND[loss](head(layer, name, tap), target)
        assert float(found[name]) == pytest.approx(value, rel=1e-4), name
    weights = {"t_columns": 0.5, "l_places": 2.0}
    assert float(found["loss"]) == pytest.approx(sum(weights.get(n, 1) * float(found[n]) for n in expected), rel=1e-5)
    assert len(layer.trainable_variables) == 2 * len(expected)


def test_labels_that_are_missing_do_not_count():
    plan = read_plan({"kind": "distillation", "label": [{"column": "sex"}, {"column": "age", "numeric": True}]})
    layer = DistillationObjective(plan, TAPS, {"label_sex": 3, "label_age": 1})
    outputs = {"embedding": np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)}
    sex, age = np.array([2, -1, 0, -1], np.int32), np.array([0.5, np.nan, np.nan, -1], np.float32)
    found = layer(outputs, {"label_sex": sex, "label_age": age})
    logits = head(layer, "label_sex", outputs["embedding"])
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert float(found["label_sex"]) == pytest.approx(-(logs[0, 2] + logs[2, 0]) / 2, rel=1e-5)
    error = head(layer, "label_age", outputs["embedding"])[:, 0] - age
    assert float(found["label_age"]) == pytest.approx((error[0] ** 2 + error[3] ** 2) / 2, rel=1e-5)
    nothing = layer(outputs, {"label_sex": np.full(4, -1, np.int32), "label_age": np.full(4, np.nan, np.float32)})
    assert float(nothing["loss"]) == 0


def test_the_live_teacher_is_neither_trained_nor_kept():
    dense = keras.layers.Dense(8)
    live = {"l": LiveTeacher(lambda waveform: keras.ops.reshape(dense(waveform), (-1, 2, 2, 2)), (2, 2, 2))}
    plan = read_plan({"kind": "distillation", "teacher": [{"live": "l"}]})
    layer = DistillationObjective(plan, TAPS, {}, live)
    layer({"embedding": np.zeros((3, 6), np.float32)}, {"clean": np.ones((3, 5), np.float32)})
    assert dense.kernel is not None
    assert not {id(variable) for variable in layer.variables} & {id(variable) for variable in dense.variables}


# Runs.


def test_a_student_learns_and_embeds(train, made, tmp_path):
    done = train(COLUMNS, WINDOW, CLIP, steps=30)
    rows = log(tmp_path / "run")
    assert list(rows[0])[3:] == ["loss", "fake_clip", "fake_columns", "fake_window"] or set(rows[0]) >= {"fake_columns"}
    assert rows[-1]["fake_columns"] < 0.7 * rows[0]["fake_columns"]
    assert done.step == 30
    network, found = saving.load(tmp_path / "run/last.safetensors")
    assert found.name == "student"
    assert not [weight.path for weight in network.weights if "head" in weight.path]
    assert trill.load(tmp_path / "run/last.safetensors").embed(made / "sounds/0.wav").shape == (64,)


def test_stopped_it_ends_the_same(train, tmp_path):
    terms = (COLUMNS, WINDOW, CLIP)
    train(*terms, run="whole")

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*terms, options={"report": stop})
    assert train(*terms).step == 4
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_several_teachers_labels_and_triplets(train, made, tmp_path):
    sounds = made / "sounds"
    cache = open_cache(corpora.join([sounds]), made / "cache", quiet=True)
    if not (made / "other").exists():
        write_targets(Teacher("other", scale=3.0), cache, made / "other", Recipe((0,)), quiet=True)
    rows = ["path,speaker,age", *(f"{sounds}/{i}.wav,{'ab'[i % 2] if i else ''},{20 + i}" for i in range(6))]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    train(
        COLUMNS,
        {"targets": "other", "weight": 0.5, "loss": "l1+cosine"},
        targets=(made / "other", made / "targets"),
        sounds=(tmp_path / "manifest.csv",),
        label=[{"column": "speaker"}, {"column": "age", "numeric": True}],
        triplet={"weight": 0.1},
        balance={"column": "speaker"},
        steps=2,
    )
    assert {"fake_columns", "other_window", "label_speaker", "label_age", "triplet"} <= set(log(tmp_path / "run")[0])
    assert "balance" in checkpoints.read(tmp_path / "run/checkpoint.safetensors").sounds
    with pytest.raises(ValueError, match="the recipe needs a column `corpus`"):
        train(COLUMNS, sounds=(tmp_path / "manifest.csv",), balance={"column": "corpus"}, steps=2)


def test_labels_follow_their_clips(made, tmp_path):
    sounds = made / "sounds"
    for name, rows in {"one": "0,1", "two": "2,3,4,5"}.items():
        lines = [f"{sounds}/{i}.wav,s{i}" for i in rows.split(",")]
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,speaker", *lines]))
    sources = [tmp_path / "one.csv", tmp_path / "two.csv"]
    cache = open_cache(corpora.join(sources), tmp_path / "cache", quiet=True)
    found, kinds = labels.classes(labels.read_column(sources, "speaker"), cache)
    assert [kinds[index] for index in found] == [f"s{i}" for i in range(6)]
    with pytest.raises(ValueError, match="the recipe needs a column `mood`"):
        labels.read_column(sources, "mood")


def test_joined_sources_go_on_in_the_second(made, tmp_path):
    """What a cache needs that was stopped: sounds from any number on."""
    sounds = sorted((made / "sounds").iterdir())
    for name, some in {"a": sounds[:2], "b": sounds[2:]}.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["path", *map(str, some)]))
    corpus = corpora.join([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert corpus.total == 6
    names = [name for name, _ in corpus.read(0, 16_000)]
    assert [name.split(": ")[1] for name in names] == list(map(str, sounds))
    for skip in range(7):
        assert [name for name, _ in corpus.read(skip, 16_000)] == names[skip:]


# What is refused, before anything is trained.


WRONG = {
    "no terms": ((), {}, "needs terms, each with a name"),
    "twice": ((COLUMNS, COLUMNS), {}, "needs terms, each with a name of its own, got fake_columns, fake_columns"),
    "no teacher": (({"match": "window"},), {}, "a teacher has targets or is live"),
    "both": (({"targets": "fake", "live": "yamnet"},), {}, "a teacher has targets or is live"),
    "key": (({"targets": "fake", "layer": 1},), {}, r"\[\[objective.teacher\]\] knows the keys .+, got 'layer'"),
    "match": (({"targets": "fake", "match": "places"},), {}, "match must be one of columns, window, clip"),
    "loss": (({"targets": "fake", "loss": "l2"},), {}, "loss must be one of mse, cosine"),
    "statistics": (({**COLUMNS, "statistics": "mean+std"},), {}, "statistics are of a window"),
    "weight": (({**COLUMNS, "weight": 0},), {}, "weight must be positive"),
    "another teacher": (({"targets": "whisper"},), {}, "the recipe learns from whisper, and one of --targets .+ fake-"),
    "tap": (({**COLUMNS, "tap": "block9"},), {}, "tap of fake_columns must be one of embedding, final, got 'block9'"),
    "no map": (({**COLUMNS, "tap": "embedding"},), {}, "columns of fake_columns need a map"),
    "live": (({"live": "wavlm"},), {"targets": ()}, "a live teacher is one of yamnet, got 'wavlm'"),
    "live's weights": (({"live": "yamnet"},), {"targets": ()}, "weights are missing: --live yamnet=FOLDER"),
    "live's folder": (
        ({"live": "yamnet"},),
        {"targets": (), "options": {"live": {"yamnet": "nowhere"}}},
        "weights of yamnet are a folder with model.safetensors, nowhere has none",
    ),
    "unused live": ((COLUMNS,), {"options": {"live": {"yamnet": "."}}}, "does not learn from yamnet"),
    "whiten": (({**COLUMNS, "whiten": 2.0},), {}, r"whiten must be in \[0, 1\], got 2.0"),
    "whitened live": (({"live": "yamnet", "whiten": 0.5},), {"targets": ()}, "targets are whitened, yamnet is live"),
    "table": ((COLUMNS,), {"label": {"column": "x"}}, r"label must be tables \[\[objective.label\]\]"),
    "unknown": (
        (COLUMNS,),
        {"pairs": 1},
        r"\[objective\] knows kind, originals, teacher, label, triplet, balance and variants, got pairs",
    ),
    "originals": ((COLUMNS,), {"originals": 0.5}, r"originals are beside \[objective.variants\], which there are none"),
    "balance": ((COLUMNS,), {"balance": {"column": "source", "power": 2}}, r"power must be in \[0, 1\], got 2"),
    "group": ((COLUMNS,), {"balance": {"power": 1.0}}, r"\[objective.balance\] needs the key column"),
    "share": ((COLUMNS,), {"originals": 1.0, "variants": {"speed": {}}}, r"originals must be in \(0, 1\), got 1.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_recipe_that_cannot_be(train, tmp_path, name):
    terms, options, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        train(*terms, **options)
    assert not (tmp_path / "run").exists() or files_of(tmp_path / "run") == [".lock"]


def test_a_recipe_of_another_kind(made, tmp_path):
    with pytest.raises(ValueError, match="takes recipes of kind 'distillation', got 'triplet'"):
        students.train(
            [made / "sounds"], tmp_path / "run", dataclasses.replace(config(), objective={"kind": "triplet"})
        )


def test_targets_of_another_corpus(train, made, tmp_path):
    other, _ = make_cache(tmp_path, 5)
    with pytest.raises(TargetsError, match="targets must be of the sound that is trained on"):
        train(COLUMNS, sounds=(other,))
    assert files_of(tmp_path / "run") == [".lock"]


def test_targets_without_frames(train, made, tmp_path):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    write_targets(Teacher(), cache, tmp_path / "clips", Recipe((1,), keep="clips"), quiet=True)
    with pytest.raises(TargetsError, match="fake_columns needs frames, the targets of fake-teacher keep none"):
        train(COLUMNS, targets=(tmp_path / "clips",))
    train(CLIP, targets=(tmp_path / "clips",))


def test_targets_that_nothing_uses(train, made, tmp_path):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    write_targets(Teacher("other"), cache, tmp_path / "other", Recipe((1,)), quiet=True)
    with pytest.raises(TargetsError, match=r"must be used by the recipe, other is not\. Leave it out"):
        train(COLUMNS, targets=(made / "targets", tmp_path / "other"))


def test_a_run_on_other_targets_is_not_gone_on_with(train, made, tmp_path):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    write_targets(Teacher(scale=2.0), cache, tmp_path / "other", Recipe((1, 2), components=3), quiet=True)
    train(COLUMNS)
    with pytest.raises(ValueError, match="the targets of fake-teacher is another"):
        train(COLUMNS, targets=(tmp_path / "other",))


def test_a_number_that_is_none_stops_the_run(train, made, tmp_path):
    cache = open_cache(corpora.join([made / "sounds"]), made / "cache", quiet=True)
    write_targets(Teacher(), cache, tmp_path / "bad", Recipe((1,)), quiet=True)
    frames = np.load(tmp_path / "bad/frames.npy")
    frames[:] = np.nan
    np.save(tmp_path / "bad/frames.npy", frames)
    with pytest.raises(TargetsError, match="targets must be finite, those of fake-teacher for clip"):
        train(COLUMNS, targets=(tmp_path / "bad",))
    assert not (tmp_path / "run/last.safetensors").exists()


def test_shapes_of_a_live_teacher_must_fit():
    live = {"l": LiveTeacher(lambda waveform: waveform, (12, 8, 256))}
    for row, words in {
        "places": "places need maps of one shape, l has 12 x 8, block5 is 2 x 3",
        "columns": "columns of l, 12, must be a multiple of those of final, 5",
    }.items():
        plan = read_plan({"kind": "distillation", "teacher": [{"live": "l", "match": row}]})
        with pytest.raises(ValueError, match=words):
            DistillationObjective(plan, {**TAPS, "final": (5, 3, 2)}, {}, live)


# What is packaged.


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_and_its_header_says_how_it_is_run(path):
    found = load_recipe(path.stem)
    assert found.network.name == path.stem
    plan = read_plan(found.objective)
    taps = {name: tuple(tap.shape[1:]) for name, tap in saving.build(found.network).output.items()}
    live = {term.live: LiveTeacher(lambda waveform: waveform, (12, 8, 256)) for term in plan.teachers if term.live}
    DistillationObjective(plan, taps, dict.fromkeys([term.name for term in plan.teachers if term.targets], 256), live)
    augment.build({name: row for name, row in found.augment.items() if name != "noise"})
    text = re.match(r"(#.*\n)+", path.read_text())[0]
    [command] = re.findall(r"^#     (trill-distill train .+)$", text, re.MULTILINE)
    assert f"--recipe {path.stem} " in command
    assert ("--noise " in command) == ("noise" in found.augment)


@pytest.mark.skipif(not SHARED.exists(), reason="the teachers are not part of the repository")
def test_yamnet_runs_along():
    teacher = objective.LIVE["yamnet"](SHARED / "yamnet_float_layers1to11")
    found = teacher.run(np.zeros((2, FRONTENDS["yamnet"].window_samples), np.float32))
    assert tuple(found.shape) == (2, *teacher.shape)
