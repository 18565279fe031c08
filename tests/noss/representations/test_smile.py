"""openSMILE in processes of its own."""

import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest

import trill
from noss.representations import load_representation
from noss.representations.fingerprint import fingerprint
from tests.sounds import noise
from trill.parallel import map_in_threads

WAVEFORM = noise(16_000).astype(np.float32)


def installed():
    try:
        return bool(importlib.metadata.version("opensmile"))
    except importlib.metadata.PackageNotFoundError:
        return False


needs_opensmile = pytest.mark.skipif(not installed(), reason="opensmile is not installed (a licence for research only)")


def test_without_the_package_the_licence_is_said(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(
        trill.TrillError, match=r"pip install opensmile \(audEERING Research License: for research only"
    ):
        load_representation("opensmile:eGeMAPSv02")


@needs_opensmile
@pytest.mark.parametrize(("feature_set", "dim"), [("ComParE_2016", 6_373), ("eGeMAPSv02", 88)])
def test_functionals_are_opensmiles(feature_set, dim):
    found = load_representation(f"opensmile:{feature_set}")
    assert feature_set in found.name
    assert "Research" in found.licence
    direct = (
        "import sys, numpy, opensmile\n"
        f"smile = opensmile.Smile(opensmile.FeatureSet.{feature_set}, opensmile.FeatureLevel.Functionals)\n"
        "x = numpy.frombuffer(sys.stdin.buffer.read(), numpy.float32)\n"
        "sys.stdout.buffer.write(smile.process_signal(x, 16000).to_numpy().astype('f4').tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", direct], input=WAVEFORM.tobytes(), stdout=subprocess.PIPE, check=True)
    rows = found.embed_windows(WAVEFORM)
    assert rows.shape == (1, dim)
    np.testing.assert_array_equal(rows[0], np.frombuffer(done.stdout, np.float32))


@needs_opensmile
def test_short_sounds_silence_and_threads():
    found = load_representation("opensmile:eGeMAPSv02")
    sounds = [WAVEFORM[:length] for length in (1, 100, 959, 960, 8_000)] + [np.zeros(16_000, np.float32)]
    alone = [found.embed_windows(sound) for sound in sounds]
    assert np.isfinite(alone).all()
    np.testing.assert_array_equal(list(map_in_threads(found.embed_windows, iter(sounds), 3)), alone)


@needs_opensmile
def test_it_lives_beside_tensorflow():
    """In one process they crash."""
    pytest.importorskip("tensorflow")
    found = load_representation("opensmile:eGeMAPSv02")
    assert "opensmile" not in sys.modules
    assert len(fingerprint(found)) == 64


@needs_opensmile
def test_a_process_that_dies_is_said_and_replaced():
    found = load_representation("opensmile:eGeMAPSv02")
    before = found.embed_windows(WAVEFORM)
    worker = found._idle.get()
    worker._process.kill()
    worker._process.wait()
    found._idle.put(worker)
    with pytest.raises(RuntimeError, match="openSMILE's process ended with code -9"):
        found.embed_windows(WAVEFORM)
    np.testing.assert_array_equal(found.embed_windows(WAVEFORM), before)
