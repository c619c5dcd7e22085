"""Plain class folders, whatever lies in them."""

import os
import socket
import subprocess
import sys
import warnings

import pytest
from named_files import make

from keras_mtnet.data import check_videos, read_split


def read(root, **options):
    """All videos, in which nothing must be left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_split("folder", str(root), **{"subset": "all", **options})


def names(videos) -> list[str]:
    return [video.name for video in videos]


def test_plain_folder(tmp_path):
    files = [f"{c}/{i}.{s}" for c in ("b", "a") for i, s in enumerate(("MP4", "avi", "mkv", "mov"))]
    root = make(tmp_path, [*files, "a/.hidden.mp4", "a/._0.MP4", ".git/x.mp4", "list.txt"])
    make(tmp_path, ["b/frames/i_1.jpg", "b/frames/i_2.jpg"])
    everything = read(root)
    assert names(everything) == sorted([*files, "b/frames"])
    assert [v.label for v in everything] == [0] * 4 + [1] * 5
    assert (everything.class_names, everything.stride) == (("a", "b"), 2)


@pytest.mark.parametrize(
    "files, message",
    [
        ([], "no class folder"),
        (["video.mp4"], "no class folder"),
        (["a/1.mp4"], "at least two classes. Received: 1"),
        (
            ["a/1.mp4", "b/2.mp4", "c/notes.txt"],
            r"c' holds no video \(1 files with the suffix .txt",
        ),
        (["a/1.mp4", "b/1.jpg", "b/2.jpg"], r"b' holds no video \(2 files with the suffix .jpg"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        read_split("folder", make(tmp_path, files))


# --- Classes -------------------------------------------------------------------------------------


def test_classes_in_an_order_of_their_own(tmp_path):
    root = make(tmp_path, ["run/1.mp4", "walk/2.mp4"])
    found = read(root, class_names=["walk", "jump", "run"])
    assert found.class_names == ("walk", "jump", "run")
    assert {v.name: v.label for v in found} == {"run/1.mp4": 2, "walk/2.mp4": 0}
    os.makedirs(tmp_path / "jump")  # an empty folder does no harm then
    assert names(read(root, class_names=("walk", "jump", "run"))) == names(found)
    with pytest.raises(ValueError, match=r"none of the classes: 'walk'"):
        read(root, class_names=["run", "jump"])
    with pytest.raises(ValueError, match="class_names must differ"):
        read(root, class_names=["run", "run"])
    with pytest.raises(ValueError, match=r"for data set 'folder'. Received: dataset='csv'"):
        read_split("csv", root, class_names=["run", "walk"])


LEFT_BEHIND = (
    *("__MACOSX", "@eaDir", "lost+found", "LOST.DIR", "$RECYCLE.BIN", "RECYCLER", "found.001"),
    *("System Volume Information", "__pycache__", ".ipynb_checkpoints", ".Trash-1000"),
    *("#recycle", "@Recycle", "#snapshot", "@Recently-Snapshot"),
)


def test_folders_that_are_left_behind_are_no_classes(tmp_path):
    """Nor are their files videos, whatever they are called, wherever they lie."""
    files = [f"{place}{name}/3.mp4" for name in LEFT_BEHIND for place in ("", "a/", "a/day1/")]
    files += ["a/@eaDir/1.mp4/SYNO.jpg", "Thumbs.db", "a/Thumbs.db", "b/desktop.ini", "b/Icon\r"]
    root = make(tmp_path, ["a/1.mp4", "b/2.mp4", *files])
    os.makedirs(tmp_path / "lost+found" / "empty")
    found = read(root)
    assert found.class_names == ("a", "b") and names(found) == ["a/1.mp4", "b/2.mp4"]
    assert [check.path for check in check_videos(root)] == [video.path for video in found]


def test_a_training_run_is_no_class(tmp_path):
    run = ["out/config.json", "out/classes.txt", "out/model.keras"]
    root = make(tmp_path, ["a/1.mp4", "b/2.mp4", *run])
    with pytest.warns(UserWarning, match="1 folders of training runs, e.g. 'out'"):
        assert read_split("folder", root, subset="all").class_names == ("a", "b")


@pytest.mark.parametrize(
    "name", ["ju\u2028mp", "ju\nmp", "ju\x0cmp", "ju\x85mp", "ju\tmp", "ju\udcffmp"]
)
def test_classes_that_are_no_line_of_text_are_refused(tmp_path, name):
    root = make(tmp_path, [f"{name}/1.mp4", "run/2.mp4"])
    with pytest.raises(ValueError, match="a class name must be one line of UTF-8 text") as error:
        read(root)
    assert ascii(name) in str(error.value) and "Rename the class" in str(error.value)


def test_another_locale_is_told(tmp_path):
    root = make(tmp_path, ["caf\u00e9/1.mp4", "run/2.mp4"])
    script = (
        f"from keras_mtnet.data import read_split; read_split('folder', {root!r}, subset='all')"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **plain}, capture_output=True, text=True
    )
    assert "Set PYTHONUTF8=1" in done.stderr or done.returncode == 0  # some systems have UTF-8 only


@pytest.mark.parametrize(
    "name", [" jump ", "jump (high)", "[jump]", "ju*mp", "跳", "🤸‍♀️", "it's", "a,b"]
)
def test_odd_classes(tmp_path, name):
    root = make(tmp_path, [f"{name}/1.mp4", "run/2.mp4"])
    found = read(root)
    assert set(found.class_names) == {name, "run"} and f"{name}/1.mp4" in names(found)


def test_odd_names_of_videos_become_lines_of_text(tmp_path):
    odd = ["new\nline.mp4", "lone\udcffbyte.mp4", "sep\u2028.mp4", "emoji 🤸‍♀️.mp4"]
    found = read(make(tmp_path, [*(f"a/{name}" for name in odd), "b/1.mp4"]))
    assert set(names(found)) == {
        *("a/new\\nline.mp4", "a/lone\\udcffbyte.mp4", "a/sep\\u2028.mp4"),
        *("a/emoji 🤸‍♀️.mp4", "b/1.mp4"),
    }
    assert all(os.path.exists(video.path) for video in found)
    "".join(names(found)).encode()


# --- Parts ---------------------------------------------------------------------------------------

PARTS = ["train/a/1.mp4", "train/b/2.mp4", "val/b/3.mp4", "test/a/4.mp4"]


def test_folders_of_parts(tmp_path):
    root = make(tmp_path, [*PARTS, "annotations/list.txt"])
    found = {
        subset: names(read(root, subset=subset))
        for subset in ("train", "validation", "test", "all")
    }
    assert found == {
        "train": ["train/a/1.mp4", "train/b/2.mp4"],
        "validation": ["val/b/3.mp4"],
        "test": ["test/a/4.mp4"],
        "all": sorted(PARTS),
    }
    valid = read(root, subset="validation")
    assert valid.class_names == ("a", "b") and valid[0].label == 1 and not valid.rule


@pytest.mark.parametrize("other", ["Val", "valid", "validation", "test", "testing"])
def test_one_folder_beside_training_is_for_both(tmp_path, other):
    root = make(tmp_path, ["Training/a/1.mp4", "Training/b/2.mp4", f"{other}/a/3.mp4"])
    for subset in ("validation", "test"):
        assert names(read(root, subset=subset)) == [f"{other}/a/3.mp4"]


@pytest.mark.parametrize("train, val", [("train_256", "val_256"), ("train2017", "dev")])
def test_parts_with_a_size_in_their_names(tmp_path, train, val):
    root = make(tmp_path, [f"{train}/a/1.mp4", f"{train}/b/v2/01.jpg", f"{val}/b/v3/01.jpg"])
    assert names(read(root, subset="train")) == [f"{train}/a/1.mp4", f"{train}/b/v2"]
    assert names(read(root, subset="validation")) == [f"{val}/b/v3"]


def test_a_part_may_lack_a_class(tmp_path):
    root = make(tmp_path, [*PARTS, "__MACOSX/train/a/._1.mp4"])
    os.makedirs(tmp_path / "val" / "a")
    found = read(root, subset="validation")
    assert found.class_names == ("a", "b") and names(found) == ["val/b/3.mp4"]


def test_classes_that_training_lacks_are_named(tmp_path):
    root = make(tmp_path, [*PARTS, "val/c/5.mp4"])
    with pytest.raises(ValueError, match=r"val' holds folders that are none of the classes: 'c'"):
        read(root, subset="validation")
    root = make(tmp_path / "no", ["val/a/1.mp4", "test/b/2.mp4"])
    with pytest.raises(ValueError, match=r"(val and test|test and val), but no 'train'"):
        read(root)
    assert len(read(root, class_names=["a", "b"])) == 2


def test_parts_that_are_not_clear_are_answered_with_what_to_give(tmp_path):
    root = make(tmp_path / "demo", [*PARTS, "demo/5.mp4"])
    with pytest.raises(ValueError, match=r"train and val, but also demo: give one of them as root"):
        read(root)
    found = read(root, class_names=["train", "val", "test", "demo"])
    assert names(found) == sorted([*PARTS, "demo/5.mp4"])
    alone = make(tmp_path / "alone", ["train/a/1.mp4", "train/b/2.mp4"])
    with pytest.raises(ValueError, match="no folder for subset='validation': give that of train"):
        read(alone, subset="validation")
    assert len(read(alone, subset="train")) == 2


@pytest.mark.parametrize(
    "files",
    [
        ["train/1.mp4", "test/2.mp4"],
        ["train/v1/1.jpg", "car/v2/1.jpg"],
        ["train/subject1/1.mp4", "car/subject1/2.mp4"],
    ],
)
def test_classes_may_be_called_as_parts_are(tmp_path, files):
    found = read(make(tmp_path, files))
    assert found.class_names == tuple(sorted(name.split("/")[0] for name in files))


# --- What lies about -----------------------------------------------------------------------------


def test_videos_further_down_are_found(tmp_path):
    files = ["a/1.mp4", "a/day1/2.mp4", "a/day1/cam/3.mp4", "a/day2/v1/01.jpg", "b/4.mp4"]
    found = read(make(tmp_path, files))
    assert names(found) == ["a/1.mp4", "a/day1/2.mp4", "a/day1/cam/3.mp4", "a/day2/v1", "b/4.mp4"]


def test_what_is_left_out_is_counted_and_named(tmp_path):
    files = ["a/1.mp4", "b/2.mp4", "b/x.m4p", "b/y.m4p", "a/thumb.jpg", "a/noise"]
    with pytest.warns(UserWarning) as said:
        assert len(read_split("folder", make(tmp_path, files), subset="all")) == 2
    (message,) = (str(each.message) for each in said)
    for text in ("2 files with the suffix .m4p, e.g. 'b/x.m4p'", ".jpg", "(none)"):
        assert text in message
    assert str(tmp_path) in message


def test_entries_that_are_no_files_do_not_end_the_reading(tmp_path):
    root = make(tmp_path, ["a/1.mp4", "b/2.mp4"])
    (tmp_path / "a/gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "a/self.mp4").symlink_to("self.mp4")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "selfish").symlink_to("selfish")
    (tmp_path / "c").symlink_to("nowhere")
    (tmp_path / "loose.mp4").touch()
    os.mkfifo(tmp_path / "b/pipe.mp4")
    here = os.getcwd()
    os.chdir(tmp_path / "b")  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket.mp4")
        os.chdir(here)
        with pytest.warns(UserWarning) as said:
            found = read_split("folder", root, subset="all")
    assert {"a/1.mp4", "b/2.mp4"} <= set(names(found)) and found.class_names == ("a", "b")
    text = str(said[0].message)
    assert "4 links that lead nowhere" in text and "2 pipes, sockets or devices" in text
    assert "1 videos outside of class folders, e.g. 'loose.mp4'" in text
    checks = {os.path.relpath(check.path, root): check.error for check in check_videos(root)}
    assert {"a/1.mp4", "b/2.mp4", "loose.mp4"} < set(checks) and len(checks) == 7
    assert checks["b/pipe.mp4"] == "a pipe, not a file"


def test_linked_folders(tmp_path):
    root = make(tmp_path / "root", ["a/1.mp4", "b/2.mp4"])
    make(tmp_path / "elsewhere", ["3.mp4"])
    (tmp_path / "root/a/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/c").symlink_to(tmp_path / "elsewhere")
    assert names(read(root)) == ["a/1.mp4", "a/more/3.mp4", "b/2.mp4", "c/3.mp4"]
    with pytest.warns(UserWarning, match="1 linked folders, e.g. 'a/more'"):
        found = read_split("folder", root, subset="all", follow_links=False)
    assert names(found) == ["a/1.mp4", "b/2.mp4", "c/3.mp4"]
    checked = [os.path.relpath(check.path, root) for check in check_videos(root)]
    assert checked == ["a/1.mp4", "a/more/3.mp4", "b/2.mp4"]  # the same folder behind c once


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    root = make(tmp_path, ["a/1.mp4", "a/closed/3.mp4", "b/2.mp4"])
    os.chmod(tmp_path / "a/closed", 0)
    with pytest.warns(UserWarning, match="1 folders that cannot be read"):
        assert len(read_split("folder", root, subset="all")) == 2
    os.chmod(tmp_path / "a/closed", 0o700)
