"""A list of one's own."""

import os

import numpy as np
import pytest
from named_files import make, write

from keras_mtnet.data import clips, read_split
from keras_mtnet.data.synthetic import write_video


@pytest.fixture
def videos(tmp_path):
    make(tmp_path, ["a/1.mp4", "a/2.mp4", "deep/er/3.mp4", "4.mp4", "5.mp4"])
    return tmp_path


def test_two_lists_in_a_folder(videos):
    write(videos / "train.csv", "label,path,end,start\nrun,a/1.mp4,2.5,1\njump,deep/er/3.mp4,,\n")
    write(videos / "test.csv", "path,label\n4.mp4,run\ngone.mp4,jump\n")
    train = read_split("csv", videos)
    assert (train.class_names, train.dataset, train.stride) == (("jump", "run"), "csv", 2)
    assert [(v.name, v.label, v.start, v.end) for v in train] == [
        ("a/1.mp4 1-2.5 s", 1, 1.0, 2.5),
        ("deep/er/3.mp4", 0, None, None),
    ]
    assert train[1].path == os.path.join(str(videos), "deep", "er", "3.mp4")
    test = read_split("csv", str(videos), subset="test")
    assert [v.name for v in test] == ["4.mp4"] and test.missing == ("gone.mp4",)
    assert len(read_split("csv", str(videos), subset="all")) == 3


def test_numbers_are_sorted_by_value(videos):
    path = write(videos / "all.csv", "path,label\n4.mp4,10\n5.mp4,9\n")
    everything = read_split("csv", str(videos), path, subset="all")
    assert everything.class_names == ("9", "10")
    assert {v.name: v.label for v in everything} == {"4.mp4": 1, "5.mp4": 0}


def test_numbers_that_were_floats_are_sorted_by_value(videos):
    """As pandas writes a column in which something was missing once."""
    rows = ("a/1.mp4,0.0", "a/2.mp4,10.0", "4.mp4,2.0", "5.mp4,2")
    path = write(videos / "all.csv", "\n".join(("path,label", *rows)))
    found = read_split("csv", str(videos), path, subset="all")
    assert found.class_names == ("0", "2", "10")
    assert {v.name: v.label for v in found}["4.mp4"] == 1


@pytest.mark.parametrize(
    "labels, order",
    [
        ("10 9 9.0", "9 10"),
        ("2 -1 0", "-1 0 2"),
        ("10.5 2.5 3", "2.5 3 10.5"),
        ("10.0 run 2", "10 2 run"),
    ],
)
def test_orders_of_labels(videos, labels, order):
    files = ("a/1.mp4", "a/2.mp4", "4.mp4")
    rows = "".join(f"{file},{label}\n" for file, label in zip(files, labels.split(), strict=True))
    path = write(videos / "all.csv", f"Path,LABEL\n{rows}")  # headings in any case
    found = read_split("csv", str(videos), path, subset="all")
    assert found.class_names == tuple(order.split())


@pytest.mark.parametrize("delimiter", ";\t")
def test_columns_of_spreadsheets(videos, delimiter):
    rows = "path,label,start,end\na/1.mp4,run,0.5,2\n4.mp4,jump,,\n"
    path = write(videos / "all.csv", rows.replace(",", delimiter))
    found = read_split("csv", str(videos), path, subset="all")
    assert [(v.name, v.start) for v in found] == [("4.mp4", None), ("a/1.mp4 0.5-2 s", 0.5)]


def test_absolute_paths_below_the_root(videos, tmp_path_factory):
    path = write(videos / "all.csv", f"path,label\n{videos}/a/1.mp4,run\n4.mp4,jump\n")
    assert [v.name for v in read_split("csv", str(videos), path, subset="all")] == [
        "4.mp4",
        "a/1.mp4",
    ]
    for root in (f"{videos}/", os.path.relpath(videos)):
        assert len(read_split("csv", root, path, subset="all")) == 2
    outside = write(videos / "out.csv", f"path,label\n{videos}2/1.mp4,run\n4.mp4,jump\n")
    with pytest.raises(ValueError, match=r"line 2: .* leaves the root"):
        read_split("csv", str(videos), outside, subset="all")
    link = tmp_path_factory.mktemp("links") / "videos"
    link.symlink_to(videos)
    assert len(read_split("csv", link, path, subset="all")) == 2


def test_identical_lines_count_once(videos):
    rows = "path,label\na/1.mp4,run\n4.mp4,jump\na/1.mp4,run\na/./1.mp4,run\n"
    rows += f"a\\1.mp4,run\n{videos}/a/1.mp4,run\n"
    path = write(videos / "all.csv", rows)
    assert len(read_split("csv", str(videos), path, subset="all")) == 2


def test_the_usual_three_lists(videos):
    write(videos / "train.csv", "path,label\na/1.mp4,run\na/2.mp4,jump\n")
    write(videos / "val.csv", "path,label\n4.mp4,run\n")
    write(videos / "test.csv", "path,label\n5.mp4,jump\n")
    names = {
        subset: [v.name for v in read_split("csv", str(videos), subset=subset)]
        for subset in ("train", "validation", "test", "all")
    }
    assert names == {
        "train": ["a/1.mp4", "a/2.mp4"],
        "validation": ["4.mp4"],
        "test": ["5.mp4"],
        "all": ["4.mp4", "5.mp4", "a/1.mp4", "a/2.mp4"],
    }
    os.remove(videos / "test.csv")  # then one list serves for both
    assert [v.name for v in read_split("csv", str(videos), subset="test")] == ["4.mp4"]


def test_a_video_in_two_lists_is_said(videos):
    write(videos / "train.csv", "path,label\na/1.mp4,run\na/2.mp4,jump\n")
    write(videos / "test.csv", "path,label\na/2.mp4,jump\n4.mp4,run\n")
    with pytest.warns(UserWarning, match=r"1 video is in train\.csv and in test\.csv.*a/2\.mp4"):
        read_split("csv", str(videos))


def test_people_of_one_list_stay_on_one_side(tmp_path):
    """Folders that are not those of the classes tell who is in a video."""
    names = [f"person{p}/{c}{k}.mp4" for p in range(5) for c in "ab" for k in range(3)]
    root = make(tmp_path, names)
    rows = "".join(f"{name},{name[8]}\n" for name in names)
    path = write(tmp_path / "all.csv", f"path,label\n{rows}")
    train, test = (read_split("csv", root, path, subset=s) for s in ("train", "validation"))
    assert {v.name[:7] for v in train}.isdisjoint(v.name[:7] for v in test)
    assert len(test) == 6 and "grouped by their folders: 5 groups" in train.rule


def test_classes_in_an_order_of_their_own(videos):
    path = write(videos / "all.csv", "path,label\n4.mp4,run\n5.mp4,jump\n")
    write(videos / "classes.txt", "walk\nrun\njump\n")
    everything = read_split("csv", str(videos), path, subset="all")
    assert everything.class_names == ("walk", "run", "jump")
    write(videos / "classes.txt", "walk\nrun\n")
    with pytest.raises(
        ValueError, match=r"all.csv, line 3: 'jump' is not a class of .*classes.txt"
    ):
        read_split("csv", str(videos), path, subset="all")
    write(videos / "classes.txt", "walk\nrun\nwalk\n")
    with pytest.raises(ValueError, match=r"classes.txt, line 3: .* there already"):
        read_split("csv", str(videos), path, subset="all")


def test_labels_of_the_test_list_must_be_those_of_training(videos):
    write(videos / "train.csv", "path,label\na/1.mp4,run\na/2.mp4,jump\n")
    path = write(videos / "test.csv", "path,label\n4.mp4,run\n5.mp4,junp\n")
    with pytest.raises(ValueError, match=f"{path}, line 3: 'junp' is not a class of .*train.csv"):
        read_split("csv", str(videos), subset="test")


def test_a_share_of_one_list_keeps_parts_of_a_file_together(tmp_path):
    names = [f"{number}.mp4" for number in range(20)]
    root = make(tmp_path, names)
    rows = [
        f"{name},{'ab'[number % 2]},{start},{start + 1}"
        for number, name in enumerate(names)
        for start in range(3)
    ]
    path = write(tmp_path / "all.csv", "path,label,start,end\n" + "\n".join(rows) + "\n")
    for seed in range(3):
        train, test = (
            read_split("csv", root, path, subset=subset, split_seed=seed)
            for subset in ("train", "test")
        )
        assert len(train) == 48 and len(test) == 12
        assert not {v.path for v in train} & {v.path for v in test}
        assert {v.label for v in test} == {0, 1}


def test_a_class_without_training_videos(videos):
    path = write(videos / "all.csv", "path,label\n4.mp4,run\n5.mp4,jump\n4.mp4,fall\n")
    with pytest.raises(ValueError, match=r"'4\.mp4' is listed twice"):
        read_split("csv", str(videos), path, subset="all")
    names = [f"v_{c}_g{g:02}_c01.avi" for c, g in (("a", 1), ("b", 2))]
    rows = "".join(f"{name},{name[2]}\n" for name in names)
    path = write(videos / "groups.csv", f"path,label\n{rows}")
    make(videos, names)
    with pytest.raises(ValueError, match="kept for validation without leaving a class"):
        read_split("csv", str(videos), path)


@pytest.mark.parametrize(
    "line, message",
    [
        ("../a/1.mp4,run,,", "leaves the root"),
        ("/a/1.mp4,run,,", "leaves the root"),
        ("5.mp4,,,", "expected a label for '5.mp4'"),
        (",run,,", "expected a path"),
        ("5.mp4,run,3,2", "expected 0 <= start < end"),
        ("5.mp4,run,a,b", "expected seconds"),
        ("5.mp4", "expected path,label,start,end"),
        ("a/./1.mp4,jump,,", "listed twice, with different labels"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(videos, line, message):
    path = write(videos / "all.csv", f"path,label,start,end\na/1.mp4,run,,\n4.mp4,jump,,\n{line}\n")
    with pytest.raises(ValueError, match=message) as error:
        read_split("csv", str(videos), path, subset="all")
    assert f"{path}, line 4" in str(error.value)


def test_a_heading_is_needed(videos):
    path = write(videos / "all.csv", "4.mp4,run\n5.mp4,jump\n")
    with pytest.raises(ValueError, match="line 1: expected the columns path,label"):
        read_split("csv", str(videos), path, subset="all")


def test_clips_of_a_part_show_that_part(tmp_path):
    """Frame n of the video, at 25 a second, has the gray level 4 n."""
    levels = np.arange(60, dtype="uint8")[:, None, None, None] * 4
    write_video(str(tmp_path / "long.avi"), np.broadcast_to(levels, (60, 32, 32, 3)).copy())
    rows = "path,label,start,end\nlong.avi,a,0.4,0.8\nlong.avi,b,1.6,\n"
    parts = read_split("csv", str(tmp_path), write(tmp_path / "l.csv", rows), subset="all")
    for training in (False, True):
        batch = next(iter(clips(parts, 4, 2, 16, 2, training=training)))[0].numpy()
        gray = batch.mean(axis=(2, 3, 4))
        frames = np.sort((gray / 4).round(), axis=0)  # training shuffles
        assert 10 <= frames[0].min() and frames[0].max() < 20
        assert 40 <= frames[1].min() and frames[1].max() < 60
        assert (np.abs(np.diff(frames, axis=1) - 2) <= 1).all()  # the codec rounds
