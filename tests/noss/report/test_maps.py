"""The map: embeddings found by content, sounds that can be heard, nothing from outside the folder."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from click.testing import CliRunner

from noss import hashes
from noss.cli import main
from noss.embeddings import embed
from noss.report import maps, projection, write
from noss.report.projection import Clip, MapError, link, project
from noss.results import load_all
from noss.tasks.task import Utterance
from tests.noss.report.made import HOSTILE, evaluation, put
from tests.sounds import encode, noise

NUM_CLIPS = 24


class Loudness:
    """A window with its loudness, three times."""

    name, sample_rate = "loudness-1", 16_000

    def embed_windows(self, waveform):
        return np.abs(waveform).mean() * np.array([[1.0, 2.0, -1.0]]) + np.array([[0, 0, len(waveform)]])


@pytest.fixture
def results(tmp_path):
    """A task of clips on disk, the last of them the second half of a file, with their embeddings."""
    clips = tmp_path / "clips é"
    clips.mkdir()
    for number in range(NUM_CLIPS):
        (clips / f"{number}.wav").write_bytes(encode(noise(1600, seed=number) * (0.2 + number % 2)))
    names = [f"{number}.wav" for number in range(NUM_CLIPS - 1)] + [f"{NUM_CLIPS - 1}.wav#0.05"]
    found = [Utterance(clips / name.partition("#")[0], name, "a", "s") for name in names]
    found[-1] = dataclasses.replace(found[-1], start=0.05, end=0.1)
    whole = Utterance(found[-1].path, f"{NUM_CLIPS - 1}.wav", "a", "s")  # of another task
    embedded = embed(Loudness(), [whole, *found], tmp_path / "results/embeddings", quiet=True)
    judged = evaluation(
        task="loud",
        classes=("loud", HOSTILE),
        num_speakers=8,
        clips=3,
        names=tuple(names),
        truth=np.arange(NUM_CLIPS) % 2,
    )
    put(tmp_path / "results", judged, fingerprint=embedded.fingerprint, about={"folder": str(clips)})
    return tmp_path / "results"


@pytest.fixture
def quick(monkeypatch):
    """The first two dimensions in place of UMAP, whose compilation takes a quarter of a minute."""

    class Plane:
        def __init__(self, **options):
            assert options["random_state"] == 0

        def fit_transform(self, vectors):
            return vectors[:, :2].astype(float)

    monkeypatch.setattr(projection, "_umap", lambda: type("Module", (), {"UMAP": Plane}))


class Points(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.points = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.points += [tag for name, _ in attributes if name == "data-point"]


def clips_of(html):
    (data,) = re.findall(r'<script type="application/json" class="clips">(.*?)</script>', html)
    return json.loads(data)


def test_umap_is_the_same_twice(results):
    (result,) = load_all(results)
    said = []
    folder = Path(result.about["folder"])
    one, other = (project(result, results / "embeddings", folder, quiet=True, say=said.append) for _ in range(2))
    np.testing.assert_array_equal(one.places, other.places)
    assert one.places.shape == (NUM_CLIPS, 2)
    assert one.trustworthy > 0.8
    assert re.fullmatch(r"UMAP of 24 clips of loud begins\. UMAP took \d+ s\..*", " ".join(said))


def test_a_point_each_with_its_sound_beside_the_page(results, tmp_path, quick):
    page = write(results, tmp_path / "out/report", quiet=True, rounds=200)
    html = page.read_text()
    clips = clips_of(html)
    assert len(clips) == len(Points(html).points) == NUM_CLIPS
    for number, clip in enumerate(clips):
        path, _, part = clip["sound"].partition("#")
        assert (page.parent / unquote(path)).resolve().read_bytes().startswith(b"RIFF")
        assert part == ("t=0.05,0.1" if number == NUM_CLIPS - 1 else "")
        assert clip["label"] == ("loud", HOSTILE)[number % 2]
    assert "<script>alert" not in html


def test_sound_goes_into_the_page_as_far_as_there_is_room(results, tmp_path, quick):
    size = Path(load_all(results)[0].about["folder"], "0.wav").stat().st_size
    megabytes = 10.5 * size * 4 / 3 / 2**20
    done = CliRunner().invoke(
        main, ["report", str(results), "-o", str(tmp_path), "--embed-sound", str(megabytes), "--rounds", "100"]
    )
    assert done.exit_code == 0, done.output
    html = (tmp_path / "index.html").read_text()
    inside = [clip["sound"] for clip in clips_of(html) if clip["sound"].startswith("data:audio/wav;base64,")]
    assert len(inside) == 10
    assert base64.b64decode(inside[0].partition(",")[2].partition("#")[0]).startswith(b"RIFF")
    assert "The sounds of 10 clips are in this page" in html


def test_clips_that_changed_or_went_are_counted(results, quick):
    (result,) = load_all(results)
    folder = Path(result.about["folder"])
    (folder / "3.wav").write_bytes(encode(noise(1600, seed=99)))
    (folder / "4.wav").unlink()
    laid = project(result, results / "embeddings", folder, quiet=True)
    assert laid.missing == 2
    assert [clip.position for clip in laid.clips] == [n for n in range(NUM_CLIPS) if n not in (3, 4)]


def test_of_many_clips_some_are_drawn(results, quick, monkeypatch):
    monkeypatch.setattr(projection, "MAX_POINTS", 12)
    (result,) = load_all(results)
    one, other = (project(result, results / "embeddings", Path(result.about["folder"]), quiet=True) for _ in range(2))
    assert one.drawn
    assert len(one.clips) == 12
    assert [clip.position for clip in one.clips] == [clip.position for clip in other.clips]


def test_each_point_is_the_mean_of_its_own_windows(results, quick):
    """The plane is the first two dimensions: loudness, standardised."""
    (result,) = load_all(results)
    laid = project(result, results / "embeddings", Path(result.about["folder"]), quiet=True)
    loud = laid.places[::2, 0], laid.places[1::2, 0]
    assert loud[0].max() < loud[1].min()


def test_a_clip_is_the_mean_of_its_windows():
    rows = np.array([[0.0], [6.0], [1.0], [5.0]])
    store = SimpleNamespace(read=lambda found: (rows, np.array([0, 2, 3, 4])))
    np.testing.assert_allclose(
        projection._means(store, []), (np.array([[3], [1], [5]]) - 3) / (8 / 3) ** 0.5, rtol=1e-6
    )


@pytest.mark.parametrize("name", ["../secret.wav", "a/../../secret.wav", "/etc/passwd", "..", "a\0b.wav"])
def test_nothing_outside_the_folder_is_touched(results, monkeypatch, quick, name):
    (result,) = load_all(results)
    names = (name, *result.evaluation.names[1:])
    result = dataclasses.replace(result, evaluation=dataclasses.replace(result.evaluation, names=names))
    hashed = []
    real = hashes.hash_files
    monkeypatch.setattr(hashes, "hash_files", lambda paths, *a, **k: hashed.extend(paths) or real(paths, *a, **k))
    laid = project(result, results / "embeddings", Path(result.about["folder"]), quiet=True)
    assert laid.missing == 1
    assert len(hashed) == NUM_CLIPS - 1


def test_without_embeddings_or_sounds_a_page_has_no_map(results, tmp_path, quick):
    (result,) = load_all(results)
    put(tmp_path / "other", result.evaluation)
    html = write(tmp_path / "other", tmp_path / "out", quiet=True, rounds=100).read_text()
    assert "There is no map: a map needs the clips of loud, got the folder None. Pass theirs: --sounds." in html
    for options, message in (
        ({"map_task": "loud"}, "needs the clips of loud, got the folder None"),
        ({"map_task": "loud", "sounds": tmp_path}, "needs the embeddings of trill, .* has none whole"),
        ({"map_task": "soft"}, "got 'soft'. There are loud"),
    ):
        with pytest.raises(MapError, match=message):
            write(tmp_path / "other", tmp_path / "out", quiet=True, rounds=100, **options)
    with pytest.raises(MapError, match="0 of 24 of loud lie in"):
        write(results, tmp_path / "out", quiet=True, rounds=100, map_task="loud", sounds=tmp_path)
    html = write(results, tmp_path / "out", quiet=True, rounds=100, map_task="none").read_text()
    assert "There is no map" not in html
    assert 'id="map"' not in html


def test_numbers_and_speakers_are_marked_too(results, tmp_path, quick):
    (result,) = load_all(results)
    for name, change in (
        ("numbers", {"kind": "regression", "truth": np.arange(24.0), "classes": ()}),
        ("pairs", {"kind": "verification", "classes": (), "pairs": np.array([[0, 1]])}),
    ):
        other = dataclasses.replace(result, evaluation=dataclasses.replace(result.evaluation, **change))
        laid = project(other, results / "embeddings", Path(result.about["folder"]), quiet=True)
        shown = maps.view(laid, "trill", tmp_path / "index.html")
        assert len(shown["legend"]) == {"numbers": 6, "pairs": 8}[name]
        labels = {clip["label"] for clip in json.loads(shown["data"])}
        assert labels == {"numbers": {f"{n}" for n in range(24)}, "pairs": {f"speaker {n}" for n in range(8)}}[name]


def test_links_hold_any_name(tmp_path):
    assert link(tmp_path / "a b/ö#?.wav", tmp_path / "report/index.html") == "../a%20b/%C3%B6%23%3F.wav"


def test_what_browsers_cannot_play_has_no_link(tmp_path):
    found, embedded = maps._sounds((Clip(0, tmp_path / "a.sph", 0, None),), tmp_path / "index.html", 1)
    assert (found, embedded) == ([""], 0)
