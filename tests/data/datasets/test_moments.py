"""Moments in Time: classes in the order of their own list."""

import os

import pytest
from named_files import make, write

from keras_mtnet.data import read_split

FILES = [
    "training/clapping/yt-a_1.mp4",
    "training/adult+male+speaking/flickr-0-1-2_5.mp4",
    "validation/clapping/getty-b-id6_4.mp4",
]


@pytest.fixture
def moments(tmp_path):
    make(tmp_path, FILES)
    write(tmp_path / "moments_categories.txt", "clapping,0\nzooming,2\nadult+male+speaking,1\n")
    write(
        tmp_path / "trainingSet.csv",
        "clapping/yt-a_1.mp4,clapping,3,0\n"
        "adult+male+speaking/flickr-0-1-2_5.mp4,adult+male+speaking,4,1\n"
        "clapping/gone.mp4,clapping,3,0\n",
    )
    write(tmp_path / "validationSet.csv", "clapping/getty-b-id6_4.mp4,clapping,3,2\n")
    return tmp_path


def test_lists(moments):
    train = read_split("moments", str(moments))
    assert train.class_names == ("clapping", "adult+male+speaking", "zooming")
    assert [(v.name, v.label) for v in train] == [(FILES[1], 1), (FILES[0], 0)]
    assert [v.path for v in train] == [os.path.join(moments, name) for name in (FILES[1], FILES[0])]
    assert (train.missing, train.stride) == (("training/clapping/gone.mp4",), 3)
    (valid,) = read_split("moments", str(moments), subset="test")
    assert (valid.name, valid.label) == (FILES[2], 0)
    assert len(read_split("moments", str(moments), subset="all")) == 3


@pytest.mark.parametrize(
    "line, message",
    [
        ("../validation/clapping/getty-b-id6_4.mp4,clapping,1,0", "leaves the root"),
        ("/a.mp4,clapping,1,0", "leaves the root"),
        ("clapping/x.mp4,clap,1,0", "'clap' is not a class of moments_categories.txt"),
        ("clapping/x.mp4", "expected path,label"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(moments, line, message):
    with open(moments / "trainingSet.csv", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=message) as error:
        read_split("moments", str(moments))
    assert f"{moments / 'trainingSet.csv'}, line 4" in str(error.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("clapping\nwalking\n", "line 1: expected a number and a class"),
        ("clapping,1\nwalking,2\n", "must be 0 to 1, each once"),
        ("clapping,0\nclapping,1\n", "line 2: .* there already"),
    ],
)
def test_wrong_class_lists(moments, text, message):
    write(moments / "moments_categories.txt", text)
    with pytest.raises(ValueError, match=message):
        read_split("moments", str(moments))
