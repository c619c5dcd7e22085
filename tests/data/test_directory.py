"""One folder per class, by the names of Keras' own utility."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.data import read_split, video_dataset_from_directory

SIZE = {"frames": 2, "stride": 1, "image_size": (16, 16), "batch_size": 5, "verbose": False}


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
    assert len(video_dataset_from_directory(folder, **SIZE)) == 10


def test_shares_for_training_and_validation(folder, capsys):
    split = {**SIZE, "validation_split": 1 / 3, "verbose": True}
    train, valid = video_dataset_from_directory(folder, subset="both", **split)
    assert capsys.readouterr().out.splitlines() == [
        "Found 48 files belonging to 8 classes.",
        "Using 32 files for training.",
        "Using 16 files for validation.",
        "Split: 48 of 48 files are grouped by their names: 3 groups, of which 1 with 33% of the "
        "files are for validation.",
    ]
    assert len(train) == 7 and len(labels(train)) == 35  # in full batches
    assert len(valid) == 4 and labels(valid) == [label for label in range(8) for _ in range(2)]
    alone = video_dataset_from_directory(folder, subset="validation", seed=7, **split)
    for (x, _), (other, _) in zip(valid, alone, strict=True):  # whatever the seed
        assert (x.numpy() == other.numpy()).all()
    training = video_dataset_from_directory(folder, subset="training", seed=7, **split)
    assert len(training) == 7
    assert (next(iter(training))[0].numpy() != next(iter(train))[0].numpy()).any()


def test_label_modes(folder):
    options = {"shuffle": False, **SIZE}
    categorical = video_dataset_from_directory(folder, label_mode="categorical", **options)
    assert next(iter(categorical))[1].numpy().tolist() == np.eye(8)[[0] * 5].tolist()
    for alone in ({"label_mode": None}, {"labels": None}):
        dataset = video_dataset_from_directory(folder, **alone, **options)
        assert isinstance(dataset.element_spec, tf.TensorSpec) and len(dataset) == 10


def test_labels_of_ones_own(folder):
    own = [n % 3 for n in range(48)]
    dataset = video_dataset_from_directory(folder, labels=own, shuffle=False, **SIZE)
    assert labels(dataset) == own and dataset.class_names == ("0", "1", "2")
    split = {"labels": own, "validation_split": 0.25, **SIZE}
    train, valid = video_dataset_from_directory(folder, subset="both", shuffle=False, **split)
    assert sorted(labels(train) + labels(valid)) == sorted(own)
    for wrong, message in (
        (own[1:], r"as many as there are videos in .*, 48\. Received: 47 labels"),
        ([n + 1 for n in own], r"0, 1, \.\.\. without a gap\. Received: \[1, 2, 3\]"),
        ("infer", r"must be 'inferred'.*Received: labels='infer'"),
    ):
        with pytest.raises(ValueError, match=message):
            video_dataset_from_directory(folder, labels=wrong, **SIZE)
    with pytest.raises(ValueError, match="class_names needs"):
        video_dataset_from_directory(folder, labels=own, class_names=["a"], **SIZE)


def test_validation_videos_of_some_classes(folder, tmp_path):
    """Of a folder that lacks a class."""
    names = video_dataset_from_directory(folder, **SIZE).class_names
    shutil.copytree(folder / names[5], tmp_path / names[5])
    shutil.copytree(folder / names[2], tmp_path / names[2])
    dataset = video_dataset_from_directory(tmp_path, class_names=names, shuffle=False, **SIZE)
    assert dataset.class_names == names and labels(dataset) == [2] * 6 + [5] * 6


def test_parts_of_a_data_set(folder, tmp_path):
    for part in ("train", "val"):
        shutil.copytree(folder, tmp_path / part)
    train, valid = video_dataset_from_directory(tmp_path, subset="both", **SIZE)
    assert (len(train), len(labels(valid))) == (10, 48)
    with pytest.raises(ValueError, match=r"has folders for training .*give subset='training'"):
        video_dataset_from_directory(tmp_path, **SIZE)
    assert len(video_dataset_from_directory(tmp_path / "train", **SIZE)) == 10


def test_wrong_arguments(folder, tmp_path):
    with pytest.raises(ValueError, match="subset needs validation_split"):
        video_dataset_from_directory(folder, subset="training")
    with pytest.raises(ValueError, match=r"between 0 and 1\. Received: validation_split=2"):
        video_dataset_from_directory(folder, subset="training", validation_split=2)
    with pytest.raises(ValueError, match="validation_split needs subset"):
        video_dataset_from_directory(folder, validation_split=0.2)
    with pytest.raises(ValueError, match="'training', 'validation' or 'both'"):
        video_dataset_from_directory(folder, subset="test", validation_split=0.2)
    with pytest.raises(ValueError, match=r"clips are square\. Received: image_size=\(16, 24\)"):
        video_dataset_from_directory(folder, image_size=(16, 24))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        video_dataset_from_directory(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        video_dataset_from_directory(tmp_path / "nowhere", labels=None)
