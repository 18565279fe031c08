"""What is known of a representation's cost, measured by a clock that the test holds."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import trill
from noss import cost
from noss.representations import load_representation
from noss.tasks import Utterance
from trill import presets


class Sleeper:
    """Takes half a second for a second of sound, by its own clock."""

    name, sample_rate = "sleeper-1", 16_000

    def __init__(self, clock):
        self.clock, self.calls = clock, []

    def embed_windows(self, waveform):
        self.calls.append(len(waveform))
        self.clock[0] += 0.5 * len(waveform) / 16_000
        return np.ones((1, 2))


@pytest.fixture
def utterances(tmp_path):
    found = []
    for index, seconds in enumerate((1, 2, 30, 4)):
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, np.zeros(seconds * 16_000), 16_000)
        found.append(Utterance(path, path.name, "x", "anna"))
    missing = Utterance(tmp_path / "no.wav", "no.wav", "x", "anna")
    return [missing, *found]


def test_seconds_a_second_of_three_clips_after_one(utterances, tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    sleeper = Sleeper(clock)
    assert cost.seconds_per_second(sleeper, utterances, tmp_path / "c.json") == pytest.approx(0.5)
    second = 16_000
    assert sleeper.calls == [second, *[second, 2 * second, 10 * second] * 3]
    assert cost.seconds_per_second(None, utterances, tmp_path / "c.json") == pytest.approx(0.5)  # kept


def test_processor_time_counts_where_it_is_more(utterances, tmp_path, monkeypatch):
    clock, busy = [0.0], [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(time, "process_time", lambda: busy[0] + 4 * clock[0])
    assert cost.seconds_per_second(Sleeper(clock), utterances, tmp_path / "c.json") == pytest.approx(2.0)


def test_parts_are_as_long_as_they_are(utterances, tmp_path):
    part = [Utterance(utterances[3].path, "2.wav#5", "x", "anna", start=5.0, end=6.5)]
    sleeper = Sleeper([0.0])
    cost.seconds_per_second(sleeper, part, tmp_path / "c.json")
    assert set(sleeper.calls) == {24_000}


def test_without_a_clip_nothing_is_measured(utterances, tmp_path):
    assert cost.seconds_per_second(Sleeper([0.0]), utterances[:1], tmp_path / "c.json") is None
    assert not (tmp_path / "c.json").exists()


def test_what_a_file_and_its_card_say(tiny):
    found = cost.about(trill.load(tiny.tflite), f"{tiny.tflite}@embedding")
    assert found == {"bytes": tiny.tflite.stat().st_size, "licence": "Apache-2.0"}
    assert cost.about(load_representation("mfcc"), "mfcc") == {}
    assert "bytes" not in cost.about(trill.load(tiny.tflite), trill.load(tiny.tflite))
    assert cost.model_file("mobilenet@block5") == presets.locate("mobilenet")


def test_a_network_says_how_much_it_multiplies(tiny):
    from trill.networks.counting import multiply_adds

    loaded = trill.load(tiny.safetensors)
    found = cost.about(loaded, str(tiny.safetensors))
    assert found["multiplies_per_second"] == pytest.approx(multiply_adds(tiny.network) / loaded.hop_seconds)
    assert found["bytes"] == tiny.safetensors.stat().st_size
    assert "multiplies_per_second" not in cost.about(loaded.using(tap="final"), None)


def test_a_packaged_model_says_how_much_it_multiplies(tiny, monkeypatch):
    packaged = trill.load("mobilenet")
    found = cost.about(packaged, "mobilenet")["multiplies_per_second"]
    assert found == pytest.approx(cost.presets()["mobilenet"]["multiply_adds"] / packaged.hop_seconds)
    assert cost.about(packaged.using(hop_seconds=0.48), None)["multiplies_per_second"] == pytest.approx(2 * found)
    assert "multiplies_per_second" not in cost.about(packaged.using(tap="final"), None)
    # Another model of that name is another model.
    monkeypatch.setattr(cost, "presets", lambda: {"tiny": {"multiply_adds": 1}})
    monkeypatch.setattr(cost, "locate", lambda _: presets.locate("mobilenet"))
    assert "multiplies_per_second" not in cost.about(trill.load(tiny.tflite), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", presets.list_models())
def test_what_packaged_models_say_is_counted(name):
    from trill.networks import saving
    from trill.networks.counting import multiply_adds

    row = presets.presets()[name]
    network, _ = saving.load(Path(__file__).parents[2] / "recipes/weights" / row["card"].replace(".md", ".safetensors"))
    assert row["multiply_adds"] == multiply_adds(network)
