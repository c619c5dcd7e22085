"""UCF-101 and sets in its layout: lists, spellings, missing videos, wrong lines."""

import os

import pytest
from named_files import make

from keras_mtnet.data import read_split

CLASSES = ("Bend", "HandstandPushups", "Walk")


def write_lists(folder, train, test, classes=CLASSES):
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{number} {name}\r\n" for number, name in enumerate(classes, 1))
    (folder / "classInd.txt").write_text(lines)
    (folder / "trainlist01.txt").write_text("\n".join(train) + "\n")
    (folder / "testlist01.txt").write_text("\n".join(test) + "\n\n")
    return str(folder)


@pytest.fixture
def ucf(tmp_path):
    """Three classes, two training videos and one test video; lists in the root."""
    train = ["Walk/v_Walk_g02_c01.avi 3", "Bend/v_Bend_g02_c01.avi 1"]
    test = ["Bend/v_Bend_g01_c01.avi"]
    make(tmp_path, [line.split()[0] for line in train + test])
    write_lists(tmp_path, train, test)
    return tmp_path


@pytest.mark.parametrize("dataset", ["ucf101", "folder"])
def test_lists_in_the_root(ucf, dataset):
    train = read_split(dataset, str(ucf))
    assert [(v.name, v.label) for v in train] == [
        ("Bend/v_Bend_g02_c01.avi", 0),
        ("Walk/v_Walk_g02_c01.avi", 2),
    ]
    assert all(v.path == os.path.join(str(ucf), v.name) for v in train)
    assert (train.class_names, train.missing) == (CLASSES, ())
    assert (train.dataset, train.stride) == ("ucf101", 4)
    test = read_split(dataset, str(ucf), subset="test")
    assert [(v.name, v.label) for v in test] == [("Bend/v_Bend_g01_c01.avi", 0)]
    assert len(read_split(dataset, str(ucf), subset="all")) == 3


@pytest.mark.parametrize("where", ["UCF-101/ucfTrainTestlist", "ucfTrainTestlist", "elsewhere"])
def test_lists_in_a_folder_of_their_own(tmp_path, where):
    root = make(tmp_path / "UCF-101", ["Bend/a b.avi", "Walk/c.avi"])
    lists = write_lists(tmp_path / where, ["Bend/a b.avi 1"], ["Walk/c.avi"])
    annotations = lists if where == "elsewhere" else None
    assert [v.label for v in read_split("ucf101", root, annotations)] == [0]
    assert [v.label for v in read_split("ucf101", root, annotations, subset="test")] == [2]


@pytest.mark.parametrize("listed", ["HandstandPushups", "HandStandPushups"])
@pytest.mark.parametrize("folder", ["HandstandPushups", "HandStandPushups"])
@pytest.mark.parametrize("file", ["HandstandPushups", "HandStandPushups"])
def test_handstand_pushups_is_found_however_it_is_written(tmp_path, listed, folder, file):
    root = make(tmp_path, [f"{folder}/v_{file}_g01_c01.avi"])
    name = f"{listed}/v_HandStandPushups_g01_c01.avi"
    write_lists(tmp_path, [f"{name} 2"], [name])
    for subset in ("train", "test"):
        (video,) = read_split("ucf101", root, subset=subset)
        assert (video.label, video.name) == (1, name) and os.path.isfile(video.path)


def test_missing_videos_are_named(ucf):
    (ucf / "Walk/v_Walk_g02_c01.avi").unlink()
    train = read_split("ucf101", str(ucf))
    assert len(train) == 1 and train.missing == ("Walk/v_Walk_g02_c01.avi",)
    assert "1 missing" in repr(train)
    (ucf / "Bend/v_Bend_g02_c01.avi").unlink()
    with pytest.raises(FileNotFoundError, match=r"none of the 2 videos of .*trainlist01.txt"):
        read_split("ucf101", str(ucf))


@pytest.mark.parametrize(
    "line, message",
    [
        ("/etc/v.avi 1", "leaves the root"),
        ("Bend/../../v.avi 1", "leaves the root"),
        ("..\\Bend\\v.avi 1", "leaves the root"),
        ("C:/Bend/v.avi 1", "leaves the root"),
        ("Bend/v.avi 0", "labels are 1 to 3. Received: 0"),
        ("Bend/v.avi 4", "labels are 1 to 3. Received: 4"),
        ("Bend/v.avi 3", "'Bend' has label 1. Received: 3"),
        ("Jump/v.avi 1", "'Jump' is not a class"),
        ("v.avi 1", "expected 'Class/file'"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(ucf, line, message):
    with open(ucf / "trainlist01.txt", "a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(ValueError, match=message) as error:
        read_split("ucf101", str(ucf))
    assert f"{ucf / 'trainlist01.txt'}, line 4" in str(error.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 Bend\n2 Bend\n", "line 2: .* there already"),
        ("1 Bend\n1 Walk\n", "line 2: .* there already"),
        ("Bend\nWalk\n", "line 1: expected a number and a class"),
        ("0 Bend\n1 Walk\n", "must be 1 to 2"),
        ("1 Bend\n3 Walk\n", "must be 1 to 2"),
        ("1 Bend\n", "at least two classes. Received: 1"),
        ("", "at least two classes. Received: 0"),
    ],
)
def test_wrong_class_lists(ucf, text, message):
    (ucf / "classInd.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_split("ucf101", str(ucf))


def test_missing_lists_and_roots(ucf, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"trainlist02\.txt"):
        read_split("ucf101", str(ucf), split=2)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_split("ucf101", str(tmp_path / "nowhere"))


def test_three_splits(ucf):
    for split in (2, 3):
        (ucf / f"trainlist0{split}.txt").write_text("Bend/v_Bend_g01_c01.avi 1\n")
        (ucf / f"testlist0{split}.txt").write_text("Walk/v_Walk_g02_c01.avi\n")
        assert [v.label for v in read_split("ucf101", str(ucf), split=split)] == [0]
        assert [v.label for v in read_split("folder", str(ucf), split=split, subset="test")] == [2]


def test_another_container_stands_in_for_a_listed_file(ucf):
    (ucf / "Walk/v_Walk_g02_c01.avi").rename(ucf / "Walk/v_Walk_g02_c01.mp4")
    train = read_split("ucf101", str(ucf))
    assert [(os.path.basename(v.path), v.name) for v in train] == [
        ("v_Bend_g02_c01.avi", "Bend/v_Bend_g02_c01.avi"),
        ("v_Walk_g02_c01.mp4", "Walk/v_Walk_g02_c01.avi"),
    ]


def test_the_same_line_counts_once_however_it_is_written(ucf):
    before = list(read_split("ucf101", str(ucf)))
    with open(ucf / "trainlist01.txt", "a") as file:
        file.write("Walk/v_Walk_g02_c01.avi 3\nWalk/./v_Walk_g02_c01.avi\n")
    assert list(read_split("ucf101", str(ucf))) == before


def test_lists_that_are_not_text(ucf):
    (ucf / "trainlist01.txt").write_bytes(b"Bend/\xff\xfe.avi 1\n")
    with pytest.raises(ValueError, match=r"trainlist01\.txt is not a text file in UTF-8"):
        read_split("ucf101", str(ucf))


# --- Real clips ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, classes, train, test",
    [
        ("weizmann", 10, 50, 20),
        ("ut_interaction", 6, 65, 24),
        ("arid6", 6, 150, 55),
        ("ucf11_frames", 11, 865, 328),
    ],
)
def test_real_lists(real_data, name, classes, train, test):
    root = real_data / name
    if not root.is_dir():
        pytest.skip(f"no real clips: {root} is not there")
    parts = [read_split("ucf101", str(root), subset=subset) for subset in ("train", "test")]
    assert [len(part) for part in parts] == [train, test]
    for part in parts:
        assert len(part.class_names) == classes and part.missing == ()
        assert {v.label for v in part} == set(range(classes))
        assert all(v.name.startswith(part.class_names[v.label] + "/") for v in part)
    assert not {v.name for v in parts[0]} & {v.name for v in parts[1]}
