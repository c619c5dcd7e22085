"""HACS Clips: parts of longer videos."""

import os

import pytest
from named_files import make, write

from keras_mtnet.data import read_split

ROWS = """classname,youtube_id,subset,start,end,label
Walking the dog,aaaaaaaaaaa,training,15.5,17.5,1
Walking the dog,aaaaaaaaaaa,training,40.0,42.0,1
Walking the dog,aaaaaaaaaaa,training,60.0,62.0,-1
Archery,bbbbbbbbbbb,training,0.0,2.0,1
Archery,aaaaaaaaaaa,training,15.5,17.5,1
Archery,-c_ccccccc-,validation,3.0,5.0,1
,ddddddddddd,testing,,,
"""
FILES = ["Walking_the_dog/v_aaaaaaaaaaa.mp4", "Archery/v_bbbbbbbbbbb.mp4", "x/-c_ccccccc-.mp4"]


@pytest.fixture
def hacs(tmp_path):
    write(tmp_path / "HACS_v1.1.1/HACS_clips_v1.1.1.csv", ROWS)
    make(tmp_path / "videos", FILES)
    return tmp_path / "videos"


def test_positive_clips_are_parts_of_their_videos(hacs):
    train = read_split("hacs", str(hacs))
    assert (train.class_names, train.stride) == (("Archery", "Walking the dog"), 2)
    assert [(v.label, v.start, v.end, os.path.relpath(v.path, hacs)) for v in train] == [
        (0, 15.5, 17.5, FILES[0]),
        (0, 0.0, 2.0, FILES[1]),
        (1, 15.5, 17.5, FILES[0]),
        (1, 40.0, 42.0, FILES[0]),
    ]
    assert train[1].name == "Archery/v_bbbbbbbbbbb 0-2 s"
    (valid,) = read_split("hacs", str(hacs), subset="test")
    assert (valid.label, valid.start) == (0, 3.0) and valid.path.endswith(FILES[2])
    assert len(read_split("hacs", str(hacs), subset="all")) == 5


def test_the_file_in_the_folder_of_its_class_comes_first(hacs):
    make(hacs, ["Archery/v_aaaaaaaaaaa.mp4"])
    paths = {v.label: v.path for v in read_split("hacs", str(hacs)) if "aaaa" in v.name}
    assert "/Archery/" in paths[0] and "/Walking_the_dog/" in paths[1]


def test_missing_videos_are_named(hacs):
    os.remove(hacs / FILES[0])
    train = read_split("hacs", str(hacs))
    assert len(train) == 1 and len(train.missing) == 3
    assert train.missing[0] == "Archery/v_aaaaaaaaaaa 15.5-17.5 s"


@pytest.mark.parametrize(
    "line, message",
    [
        ("Archery,../x,training,0,2,1", "expected a YouTube identifier"),
        ("Archery,eeeeeeeeeee,training,0,2,0", "label 1 or -1. Received: 'training', '0'"),
        ("Archery,eeeeeeeeeee,train,0,2,1", "Received: 'train', '1'"),
        ("Archery,eeeeeeeeeee,training,2,2,1", "expected 0 <= start < end"),
        ("Archery,eeeeeeeeeee,training,,2,1", "expected a class, start and end"),
        (",eeeeeeeeeee,training,0,2,1", "expected a class, start and end"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(hacs, line, message):
    path = hacs.parent / "HACS_v1.1.1/HACS_clips_v1.1.1.csv"
    with open(path, "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=message) as error:
        read_split("hacs", str(hacs))
    assert f"{path}, line 9" in str(error.value)
