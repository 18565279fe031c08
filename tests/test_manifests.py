"""Files by name: in order, named once, and what is no manifest says why."""

import pytest

from trill.manifests import Clip, find_clips, stamp


def test_inputs_keep_their_order_and_folders_are_sorted(tmp_path):
    for name in ("z/2.wav", "z/10.MP3", "z/deep/1.opus", "z/notes.txt", "z/._2.wav", "one.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inputs = [tmp_path / name for name in ("one.flac", "z", "missing.wav", "z/2.wav", "notes")]
    names = ["one.flac", "z/10.MP3", "z/2.wav", "z/deep/1.opus", "missing.wav", "notes"]
    assert find_clips(inputs) == [Clip(str(tmp_path / name), tmp_path / name) for name in names]


def test_a_manifest_names_files_relative_to_itself(tmp_path):
    text = 'path,label\na.wav,x\n"ü, ""q"".wav",y\na.wav,x\nsub/../b.wav,z\n,z\n/abs/c.wav,w\n'
    manifest = tmp_path / "m.CSV"
    manifest.write_text(text, encoding="utf-8-sig")  # with the mark that spreadsheets write
    names = ["a.wav", 'ü, "q".wav', "sub/../b.wav", "/abs/c.wav"]
    assert find_clips([manifest]) == [Clip(name, tmp_path / name) for name in names]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,label\na.wav,x\n", r"needs a column `path`, .*m\.csv has file, label\. Name it in the first line"),
        (b"", r"needs a column `path`, .* has none"),
        (b"path,label\n,x\n", r"needs at least one row with a path"),
        (b"path\n\xff.wav\n", r"must be a CSV file in UTF-8, .*m\.csv cannot be read as one: .*0xff"),
        (b"path\n" + b"x" * 200_000, r"must be a CSV file in UTF-8, .* field larger than field limit"),
        (None, r"must be a CSV file in UTF-8, .* No such file"),
    ],
)
def test_a_manifest_that_is_none_says_why(tmp_path, content, message):
    if content is not None:
        (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        find_clips([tmp_path / "m.csv"])


def test_one_name_cannot_mean_two_files(tmp_path):
    for folder in ("1", "2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.csv").write_text("path\na.wav\n")
    manifests = [tmp_path / "1/m.csv", tmp_path / "2/m.csv"]
    with pytest.raises(ValueError, match=r"a name must mean one file, a\.wav is both .*1/a\.wav and .*2/a\.wav"):
        find_clips(manifests)
    (tmp_path / "1/a.wav").touch()
    (tmp_path / "2/a.wav").symlink_to(tmp_path / "1/a.wav")
    assert len(find_clips(manifests)) == 1


def test_a_folder_without_sound_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"must hold sound files \(\.aif, .*has none"):
        find_clips([tmp_path])


def test_a_stamp_changes_with_the_file(tmp_path):
    file = tmp_path / "a.wav"
    stamps = [stamp(file)]
    for content in (b"", b"a"):
        file.write_bytes(content)
        stamps.append(stamp(file))
    assert stamps[0] == stamp(tmp_path / "nul\0.wav") == "missing"
    assert len(set(stamps)) == 3
    assert stamp(file) == stamps[-1]
