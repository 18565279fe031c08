"""The transformer inside scikit-learn's own machinery."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import trill
from tests.sounds import encode, noise, tone

pytest.importorskip("sklearn")
import joblib
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from trill.sklearn import SpeechEmbedder

# Checks that cannot apply, as each row of a matrix is a sound here: samples in [-1, 1], of a type that sound has.
NOT_FOR_SOUND = {
    "check_estimators_dtypes": "int64 is no type of sound: nothing says at which of its bits full scale is",
    "check_estimator_sparse_tag": "fit looks at no sound; transform refuses a sparse matrix",
    "check_fit_idempotent": "its samples go up to 300, and full scale is 1",
}


@parametrize_with_checks([SpeechEmbedder()], expected_failed_checks=lambda _: NOT_FOR_SOUND)
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def test_no_check_is_left_out_for_nothing():
    """Each check in the list does fail, and they are a small part of all that ran."""
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(SpeechEmbedder(), expected_failed_checks=NOT_FOR_SOUND, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(NOT_FOR_SOUND)
    assert sum(result["status"] == "passed" for result in results) >= 30


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve short files, every second a tone and the others noise, and what they are."""
    folder = tmp_path_factory.mktemp("clips")
    labels = ["tone", "noise"] * 6
    for index, label in enumerate(labels):
        samples = tone(0.3, hertz=200 + 50 * index) if label == "tone" else noise(4800, seed=index)
        (folder / f"{index}.wav").write_bytes(encode(samples))
    return [folder / f"{index}.wav" for index in range(len(labels))], labels


@pytest.fixture
def pipeline():
    return make_pipeline(SpeechEmbedder(), LogisticRegression())


def test_the_rows_are_embeddings(clips):
    found = SpeechEmbedder(pooling="max").fit_transform(clips[0])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [trill.embed(clip, pooling="max") for clip in clips[0]])


@pytest.mark.parametrize("sounds", [list, lambda paths: list(map(str, paths)), lambda paths: np.array(paths, str)])
def test_a_pipeline_learns_from_paths(pipeline, clips, sounds):
    paths, labels = sounds(clips[0]), clips[1]
    assert pipeline.fit(paths[:6], labels[:6]).score(paths[6:], labels[6:]) == 1


def test_arrays_take_the_rate_and_files_their_own(clips):
    sound = tone(1, rate=48_000).astype(np.float32)
    found = SpeechEmbedder(sample_rate=48_000).transform([sound, clips[0][0]])
    np.testing.assert_array_equal(found, [trill.embed(sound, 48_000), trill.embed(clips[0][0])])


def test_several_jobs_say_what_one_says(pipeline, clips):
    assert cross_val_score(pipeline, *clips, cv=3, n_jobs=2).tolist() == [1, 1, 1]


def test_parameters_can_be_searched(pipeline, clips):
    search = GridSearchCV(pipeline, {"speechembedder__pooling": ["mean", "mean+std"]}, cv=3, error_score="raise")
    assert search.fit(*clips).best_score_ == 1


def test_parameters_are_set_and_cloned():
    transformer = SpeechEmbedder("mobilenet", tap="final", pooling="max", hop_seconds=0.5, sample_rate=8_000)
    parameters = {"model": "mobilenet", "tap": "final", "pooling": "max", "hop_seconds": 0.5, "sample_rate": 8_000}
    assert transformer.get_params() == clone(transformer).get_params() == parameters
    assert SpeechEmbedder().set_params(tap="final").transform([np.zeros(100)]).shape == (1, 6 * 4 * 384)


@pytest.mark.parametrize("module", [pickle, joblib])
def test_a_fitted_pipeline_is_stored_without_the_model(pipeline, clips, module, tmp_path):
    paths, labels = clips
    pipeline.fit(paths, labels)
    with (tmp_path / "stored").open("wb") as file:
        module.dump(pipeline, file)
    with (tmp_path / "stored").open("rb") as file:
        stored = module.load(file)
    np.testing.assert_array_equal(stored.predict_proba(paths), pipeline.predict_proba(paths))
    assert len(pickle.dumps(pipeline[0])) < 2_000


@pytest.mark.parametrize(("pooling", "dim"), [("mean", 1152), ("mean+std", 2304)])
def test_each_value_has_a_name(clips, pooling, dim):
    transformer = SpeechEmbedder(pooling=pooling)
    names = transformer.get_feature_names_out()
    assert names.tolist() == [f"speechembedder{index}" for index in range(dim)]
    assert transformer.transform([]).shape == (0, dim)
    assert transformer.transform(clips[0][:1]).shape == (1, dim)


def test_pandas_in_and_out(clips):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"path": list(map(str, clips[0]))})
    found = SpeechEmbedder().set_output(transform="pandas").fit_transform(table["path"])
    assert found.columns[0] == "speechembedder0"
    np.testing.assert_array_equal(found.to_numpy(), SpeechEmbedder().transform(clips[0]))
    with pytest.raises(ValueError, match=r"list of sounds, got DataFrame\. Pass one column of it, e\.g\. X\['path'\]"):
        SpeechEmbedder().transform(table)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "nothing"}, "model must be one of mobilenet"),
        ({"tap": "nothing"}, "tap must be one of embedding"),
        ({"pooling": "median"}, "pooling must be one of 'mean'"),
        ({"hop_seconds": 0}, "hop_seconds must be at least one sample"),
    ],
)
def test_fit_refuses_what_cannot_work(parameters, message):
    with pytest.raises(ValueError, match=message):
        SpeechEmbedder(**parameters).fit([])


def test_one_sound_is_no_list(clips):
    with pytest.raises(ValueError, match=r"must be a list of sounds, got one"):
        SpeechEmbedder().transform(str(clips[0][0]))
    with pytest.raises(trill.AudioError, match=r"missing\.wav"):
        SpeechEmbedder().transform([clips[0][0], "missing.wav"])


def test_without_scikit_learn_the_pip_line_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import trill.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "trill.errors.MissingPackageError: sklearn is needed and not installed. "
        "Install it: pip install 'trill-speech[noss]'"
    )
