"""HMDB-51: a list for each class and split."""

import os

import pytest
from named_files import make, write

from keras_mtnet.data import read_split

# Names as real ones are: signs, points, spaces.
NAMES = {
    "brush_hair": ["April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "b !#1.2_1.avi", "c_2.avi"],
    "cartwheel": ["(Rad)Schlag_die_Bank!_cartwheel_f_cm_np1_le_med_0.avi", "d_0.avi"],
}
USES = {
    1: {"brush_hair": "1 2 0", "cartwheel": "2 1"},
    2: {"brush_hair": "2 1 1", "cartwheel": "1 2"},
    3: {"brush_hair": "0 0 1", "cartwheel": "1 2"},
}


@pytest.fixture
def hmdb(tmp_path):
    make(tmp_path / "hmdb", [f"{c}/{name}" for c, names in NAMES.items() for name in names])
    for split, uses in USES.items():
        for name, numbers in uses.items():
            lines = "".join(
                f"{file} {use} \n" for file, use in zip(NAMES[name], numbers.split(), strict=True)
            )
            folder = tmp_path / "hmdb" / "testTrainMulti_7030_splits"
            write(folder / f"{name}_test_split{split}.txt", lines)
    return tmp_path / "hmdb"


@pytest.mark.parametrize("split", [1, 2, 3])
@pytest.mark.parametrize("subset, use", [("train", "1"), ("test", "2")])
def test_splits(hmdb, split, subset, use):
    videos = read_split("hmdb51", str(hmdb), split=split, subset=subset)
    expected = {
        f"{name}/{file}": label
        for label, (name, files) in enumerate(NAMES.items())
        for file, number in zip(files, USES[split][name].split(), strict=True)
        if number == use
    }
    assert {v.name: v.label for v in videos} == expected
    assert all(v.path == os.path.join(str(hmdb), v.name) for v in videos)
    assert (videos.class_names, videos.stride) == (("brush_hair", "cartwheel"), 2)


def test_all_and_missing(hmdb):
    (hmdb / "cartwheel/d_0.avi").unlink()
    everything = read_split("hmdb51", str(hmdb), subset="all")
    assert len(everything) == 4 and everything.missing == ("cartwheel/d_0.avi",)


@pytest.mark.parametrize(
    "line, message",
    [
        ("x.avi 3", "expected '<video> 0', 1 or 2"),
        ("x.avi", "expected '<video> 0', 1 or 2"),
        ("../x.avi 1", "leaves the root"),
        ("/x.avi 1", "leaves the root"),
        ("other/x.avi 1", "expected a file of the class folder"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(hmdb, line, message):
    path = hmdb / "testTrainMulti_7030_splits/brush_hair_test_split2.txt"
    with open(path, "a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(ValueError, match=message) as error:
        read_split("hmdb51", str(hmdb), split=2)
    assert f"{path}, line 5" in str(error.value)


def test_missing_split(hmdb):
    with pytest.raises(FileNotFoundError, match=r"<class>_test_split4\.txt"):
        read_split("hmdb51", str(hmdb), split=4)
