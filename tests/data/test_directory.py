"""One folder per class, by the names of Keras' own utility."""

import shutil

import pytest

from keras_mtnet.data import read_split, video_dataset_from_directory

SIZE = {"frames": 2, "stride": 1, "image_size": (16, 16), "batch_size": 5}


@pytest.fixture(scope="module")
def folder(drawn, tmp_path_factory):
    """The drawn videos, without the lists."""
    root = tmp_path_factory.mktemp("plain")
    for name in [v.name for v in read_split("folder", str(drawn), subset="all")]:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(drawn / name, root / name)
    return root


def labels(dataset) -> list[int]:
    return [int(y) for _, batch in dataset for y in batch]


def test_all_videos(folder):
    dataset = video_dataset_from_directory(folder, shuffle=False, **SIZE)
    assert labels(dataset) == [label for label in range(8) for _ in range(6)]
    assert dataset.class_names[0] == "DriftFast" and dataset.report.summary() == ""
    assert (dataset.clip_spec.size, dataset.clip_spec.stride) == (16, 1)


def test_shares_for_training_and_validation(folder):
    split = {"validation_split": 1 / 3, **SIZE}
    train, valid = video_dataset_from_directory(folder, subset="both", **split)
    assert len(train) == 7 and len(labels(train)) == 35  # 32 videos in full batches
    assert len(valid) == 4 and labels(valid) == [label for label in range(8) for _ in range(2)]
    alone = video_dataset_from_directory(folder, subset="validation", seed=7, **split)
    for (x, _), (other, _) in zip(valid, alone, strict=True):  # whatever the seed
        assert (x.numpy() == other.numpy()).all()


def test_wrong_arguments(folder):
    with pytest.raises(ValueError, match="together"):
        video_dataset_from_directory(folder, subset="training")
    with pytest.raises(ValueError, match="'training', 'validation' or 'both'"):
        video_dataset_from_directory(folder, subset="test", validation_split=0.2)
    with pytest.raises(ValueError, match=r"clips are square\. Received: image_size=\(16, 24\)"):
        video_dataset_from_directory(folder, image_size=(16, 24))
