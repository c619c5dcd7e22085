"""Kinetics: its lists, and the trees in which people have its files."""

import os

import pytest
from named_files import make, write

from keras_mtnet.data import read_split

HEADING = "label,youtube_id,time_start,time_end,split,is_cc\n"
TRAIN = (
    '"passing American football (in game)",-0abcdefgh_,7,17,train,0\n'
    "abseiling,bbbbbbbbbbb,59,69,train,1\n"
    "abseiling,ccccccccccc,1234.0,1244.0,train,0\n"
)
VALID = "zumba,ddddddddddd,0,10,val,0\nabseiling,eeeeeeeeeee,3,13,val,0\n"
STEMS = {
    "-0abcdefgh_": "-0abcdefgh__000007_000017",
    "bbbbbbbbbbb": "bbbbbbbbbbb_000059_000069",
    "ccccccccccc": "ccccccccccc_001234_001244",
}
FOOTBALL = "passing American football (in game)"


def lists(folder, train="train.csv", valid="val.csv"):
    write(folder / train, HEADING + TRAIN + "zumba,fffffffffff,0,10,train,0\n")
    write(folder / valid, HEADING + VALID)


def tree(style):
    """File names of three training videos, as different downloads have them."""
    a, b, c = STEMS.values()
    return {
        "classes": [f"train/{FOOTBALL}/{a}.mp4", f"train/abseiling/{b}.mp4", f"abseiling/{c}.mkv"],
        "no subset": [f"{FOOTBALL}/{a}.mp4", f"abseiling/{b}.mp4", f"abseiling/{c}.webm"],
        "underscores": [
            f"train_256/passing_American_football_(in_game)/{a}.mp4",
            *(f"train_256/abseiling/{each}.mkv" for each in (b, c)),
        ],
        "flat": [f"train/{each}.mp4" for each in (a, b, c)],
        "root": [f"{each}.mp4" for each in (a, b, c)],
    }[style]


@pytest.mark.parametrize("style", ["classes", "no subset", "underscores", "flat", "root"])
def test_cut_files_are_found_in_the_usual_trees(tmp_path, style):
    names = tree(style)
    root = make(tmp_path / "k", names)
    lists(tmp_path / "k")
    videos = read_split("kinetics400", root)
    assert videos.class_names == ("abseiling", FOOTBALL, "zumba")  # order of the names
    assert [(v.name, v.label) for v in videos] == [
        (f"abseiling/{STEMS['bbbbbbbbbbb']}", 0),
        (f"abseiling/{STEMS['ccccccccccc']}", 0),
        (f"{FOOTBALL}/{STEMS['-0abcdefgh_']}", 1),
    ]
    assert {v.path for v in videos} == {os.path.join(root, name) for name in names}
    assert {(v.start, v.end) for v in videos} == {(None, None)}
    assert videos.missing == ("zumba/fffffffffff_000000_000010",)
    assert videos.stride == 5


def test_whole_videos_are_used_in_part(tmp_path):
    root = make(tmp_path / "k", ["bbbbbbbbbbb.mp4", "abseiling/ccccccccccc.mp4"])
    lists(tmp_path / "k/annotations")
    first, second = read_split("kinetics700", root)
    assert (first.start, first.end) == (59, 69) and first.path.endswith("/bbbbbbbbbbb.mp4")
    assert (second.start, second.end) == (1234, 1244)
    assert len(read_split("kinetics700", root).missing) == 2


def test_a_cut_file_comes_before_the_whole_video(tmp_path):
    cut = f"train/{STEMS['bbbbbbbbbbb']}.mp4"
    lists(tmp_path / "k")
    (video,) = read_split("kinetics400", make(tmp_path / "k", [cut, "train/bbbbbbbbbbb.mp4"]))
    assert video.path.endswith(cut) and video.start is None


def test_the_class_folder_and_then_replacements_come_first(tmp_path):
    stem = STEMS["bbbbbbbbbbb"]
    names = [f"a/{stem}.mp4", f"replacement/{stem}.mp4"]
    lists(tmp_path / "k")
    (video,) = read_split("kinetics400", make(tmp_path / "k", names))
    assert video.path.endswith(names[1])
    (video,) = read_split("kinetics400", make(tmp_path / "k", [f"z/Abseiling/{stem}.mp4"]))
    assert video.path.endswith(f"z/Abseiling/{stem}.mp4")


@pytest.mark.parametrize(
    "train, valid",
    [
        ("train.csv", "val.csv"),
        ("train.csv", "validate.csv"),
        ("kinetics_train.csv", "kinetics_val.csv"),
        ("kinetics-400_train.csv", "kinetics-400_val.csv"),
        ("kinetics700_train.csv", "kinetics700_val.csv"),
        ("kinetics_700_2020_train.csv", "kinetics_700_2020_val.csv"),
        ("k400_train.csv", "k400_val.csv"),
    ],
)
def test_names_of_the_lists(tmp_path, train, valid):
    lists(tmp_path / "lists", train, valid)
    write(tmp_path / "lists/test.csv", HEADING)
    root = make(tmp_path / "k", ["val/zumba/ddddddddddd_000000_000010.mp4"])
    (video,) = read_split("kinetics400", root, str(tmp_path / "lists"), subset="test")
    assert (video.label, video.name) == (2, "zumba/ddddddddddd_000000_000010")


def test_all_missing_is_an_error(tmp_path):
    lists(tmp_path / "k")
    with pytest.raises(FileNotFoundError, match=r"none of the 4 videos of .*train.csv is in"):
        read_split("kinetics400", str(tmp_path / "k"))


@pytest.mark.parametrize(
    "line, message",
    [
        ("zumba,../../etc/x,0,10,val,0", "expected a YouTube identifier"),
        ("zumba,/etc/passwd,0,10,val,0", "expected a YouTube identifier"),
        ("zumbaa,ggggggggggg,0,10,val,0", "'zumbaa' is not a class of"),
        (",ggggggggggg,0,10,val,0", "'' is not a class of"),
        ("zumba,ggggggggggg,10,0,val,0", "expected 0 <= start < end"),
        ("zumba,ggggggggggg,,10,val,0", "expected start and end"),
        ("zumba,ggggggggggg", "expected label,youtube_id"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(tmp_path, line, message):
    root = make(tmp_path / "k", ["ddddddddddd.mp4"])
    lists(tmp_path / "k")
    with open(tmp_path / "k/val.csv", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=message) as error:
        read_split("kinetics400", root, subset="test")
    assert f"{tmp_path / 'k/val.csv'}, line 4" in str(error.value)
