"""What all data sets have in common."""

import pytest

from keras_mtnet.data import DATASETS, Videos, read_split, read_videos

# --- Videos --------------------------------------------------------------------------------------


def test_unlabeled_videos_keep_their_order():
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


def test_strides_of_all_data_sets():
    """As the project's specification has them; HMDB-51 and own videos are its choice."""
    assert {name: row.stride for name, row in DATASETS.items()} == {
        **{"folder": 2, "csv": 2, "hmdb51": 2, "hacs": 2},
        **{"ucf101": 4, "kinetics400": 5, "kinetics700": 5, "moments": 3},
    }


# --- Arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dataset": "ucf102"}, "'ucf102'"),
        ({"subset": "val"}, "'val'"),
        ({"dataset": "hacs", "split": 2}, "hacs has one split, split=1. Received: split=2"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        read_split(**{"dataset": "ucf101", "root": str(tmp_path), **options})


@pytest.mark.parametrize("dataset", DATASETS)
def test_missing_folders_are_named(tmp_path, dataset):
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*nowhere"):
        read_split(dataset, nowhere)
    with pytest.raises(FileNotFoundError, match=r"no such annotations: .*nowhere"):
        read_split(dataset, str(tmp_path), nowhere)


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != "folder"])
def test_missing_lists_are_named(tmp_path, dataset):
    with pytest.raises(FileNotFoundError, match="give the folder as annotations") as error:
        read_split(dataset, str(tmp_path))
    assert str(tmp_path) in str(error.value)


def test_a_list_with_too_many_classes_is_that_of_another_data_set(tmp_path):
    rows = "".join(f"class {i},id{i:03},0,10,train\n" for i in range(401))
    for name in ("train.csv", "val.csv"):
        (tmp_path / name).write_text(f"label,youtube_id,time_start,time_end,split\n{rows}")
    (tmp_path / "id000.mp4").write_text("")
    with pytest.raises(ValueError, match=r"kinetics400 has 400 classes\. Received: 401"):
        read_split("kinetics400", str(tmp_path))
    assert len(read_split("kinetics700", str(tmp_path)).class_names) == 401
