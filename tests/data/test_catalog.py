"""Lists and folders, on files that are named like videos: a catalog never opens them."""

import os

import pytest

from keras_mtnet.data import STRIDES, Videos, read_split, read_videos

CLASSES = ("Bend", "HandstandPushups", "Walk")


def make(root, names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


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


# --- UCF-101 -------------------------------------------------------------------------------------


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
        ("Walk/v_Walk_g02_c01.avi 3", "listed twice"),
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


@pytest.mark.parametrize("options", [{"dataset": "ucf102"}, {"subset": "validation"}])
def test_wrong_arguments_are_named(ucf, options):
    with pytest.raises(ValueError, match=next(iter(options.values()))):
        read_split(**{"dataset": "ucf101", "root": str(ucf), **options})


# --- Class folders -------------------------------------------------------------------------------


def test_plain_folder(tmp_path):
    files = [f"{c}/{i}.{s}" for c in ("b", "a") for i, s in enumerate(("MP4", "avi", "mkv", "mov"))]
    root = make(tmp_path, [*files, "a/notes.txt", "a/.hidden.mp4", ".git/x.mp4", "readme.mp4"])
    make(tmp_path, ["b/frames/i_1.jpg", "b/frames/i_2.jpg"])
    everything = read_split("folder", root, subset="all")
    assert [v.name for v in everything] == sorted([*files, "b/frames"])
    assert [v.label for v in everything] == [0] * 4 + [1] * 5
    assert (everything.class_names, everything.stride) == (("a", "b"), 2)


def test_split_of_a_plain_folder(tmp_path):
    root = make(tmp_path, [f"{c}/{i:02d}.mp4" for c in "ab" for i in range(10)])

    def names(subset, **options):
        return {v.name for v in read_split("folder", root, subset=subset, **options)}

    for seed in range(5):
        train, test = names("train", seed=seed), names("test", seed=seed)
        assert not train & test and len(train | test) == 20
        assert [sum(name.startswith(c) for name in test) for c in "ab"] == [2, 2]
    assert names("test", seed=1) == names("test", seed=1) != names("test", seed=2)
    assert len(names("test", validation_split=0.5)) == 10
    assert len(names("test", validation_split=0.01)) == 2  # one of each class at least
    with pytest.raises(ValueError, match="validation_split"):
        names("test", validation_split=1.0)


def test_split_keeps_groups_together(tmp_path):
    root = make(
        tmp_path,
        [
            f"{c}/v_{c}_g{g:02d}_c{i:02d}.avi"
            for c in "ab"
            for g in range(1, 6)
            for i in range(1, 4)
        ],
    )
    seen = set()
    for seed in range(10):
        test = read_split("folder", root, subset="test", seed=seed)
        groups = {v.name[-11:-8] for v in test}
        assert len(groups) == 1 and len(test) == 6
        assert not groups & {v.name[-11:-8] for v in read_split("folder", root, seed=seed)}
        seen |= groups
    assert len(seen) > 1


def test_class_that_only_has_test_groups(tmp_path):
    names = ["a/v_a_g01_c01.avi", "b/v_b_g02_c01.avi"]
    with pytest.raises(ValueError, match="is left for training"):
        read_split("folder", make(tmp_path, names))


@pytest.mark.parametrize(
    "names, message",
    [
        ([], "no class folder"),
        (["video.mp4"], "no class folder"),
        (["a/1.mp4"], "at least two classes. Received: 1"),
        (["a/1.mp4", "b/2.mp4", "c/notes.txt"], "c' holds no video"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        read_split("folder", make(tmp_path, names))


# --- Videos --------------------------------------------------------------------------------------


def test_unlabelled_videos_keep_their_order():
    videos = read_videos(["b.mp4", "a.mp4"])
    assert [(v.path, v.name, v.label) for v in videos] == [
        ("b.mp4",) * 2 + (-1,),
        ("a.mp4",) * 2 + (-1,),
    ]
    assert videos.class_names == ()


def test_videos_are_a_sequence():
    videos = Videos(read_videos("abc"), ("x", "y"), ("z",), "ucf101")
    assert len(videos) == 3 and videos[-1].name == "c"
    part = videos[1:]
    assert [v.name for v in part] == ["b", "c"]
    assert (part.class_names, part.missing, part.stride) == (("x", "y"), ("z",), 4)


def test_strides_are_those_of_the_paper():
    assert STRIDES["ucf101"] == 4


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
