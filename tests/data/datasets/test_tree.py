"""Finding listed names among the files of a download."""

import os

import pytest
from named_files import make

from keras_mtnet.data.datasets.tree import Tree, class_key


@pytest.mark.parametrize(
    "name", ["playing_(the)_drums", "Playing the drums", "playing-the-drums", "playing (the) drums"]
)
def test_class_folders_may_be_written_in_many_ways(tmp_path, name):
    root = make(tmp_path, [f"{name}/a.mp4", "playing/a.mp4"])
    assert Tree(root).find("playing the drums", "a.mp4") == os.path.join(root, name, "a.mp4")


def test_what_is_written_as_listed_comes_first(tmp_path):
    root = make(tmp_path, ["a b/x.mp4", "a_b/x.mp4", "a b/x.avi", "A B/X.mp4"])
    tree = Tree(root)
    assert tree.find("a_b", "x.mp4") == os.path.join(root, "a_b/x.mp4")
    assert tree.find("a b", "x.avi") == os.path.join(root, "a b/x.avi")


def test_doubtful_names_are_not_found(tmp_path):
    tree = Tree(make(tmp_path, ["a_b/x.mp4", "a-b/x.mp4", "c/x.mp4", "c/X.avi", "file"]))
    assert tree.find("a b", "x.mp4") == ""
    assert tree.find("c", "x.mkv") == ""
    assert tree.find("file", "x.mp4") == ""
    assert tree.find("nowhere", "x.mp4") == ""


def test_folders_of_pictures_stand_for_videos(tmp_path):
    root = make(tmp_path, ["c/x/1.jpg"])
    assert Tree(root).find("c", "x.avi") == os.path.join(root, "c/x")


def test_stems_of_a_tree(tmp_path):
    names = ["a.mp4", "1/a.webm", "1/2/b.MKV", "1/2/3/c.mp4", "1/2/3/4/deep.mp4", ".h/d.mp4"]
    root = make(tmp_path, [*names, "1/note.txt"])
    (tmp_path / "loop").symlink_to("loop")
    tree = Tree(root)
    assert {stem: sorted(paths) for stem, paths in tree.stems.items()} == {
        "a": sorted([os.path.join(root, "a.mp4"), os.path.join(root, "1/a.webm")]),
        "b": [os.path.join(root, "1/2/b.MKV")],
        "c": [os.path.join(root, "1/2/3/c.mp4")],
    }
    assert tree.of_stem("a", "1") == os.path.join(root, "1/a.webm")
    assert tree.of_stem("deep", "4") == ""


def test_keys_tell_classes_apart():
    assert class_key("passing American football (in game)") != class_key(
        "passing American football (not in game)"
    )
