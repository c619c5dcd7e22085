"""Data sets from one folder per class, with the argument names of Keras' utility for images."""

import itertools
import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_mtnet.checks import check_counts
from keras_mtnet.data.augment import Augment
from keras_mtnet.data.datasets.folder import list_videos
from keras_mtnet.data.datasets.lists import Request
from keras_mtnet.data.groups import check_share
from keras_mtnet.data.pipeline import clips
from keras_mtnet.data.splits import read_split
from keras_mtnet.data.videos import Video, Videos

_SUBSETS = {None: "all", "training": "train", "validation": "validation"}


def video_dataset_from_directory(
    directory: str | os.PathLike,
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    image_size: int | Sequence[int] = (224, 224),
    shuffle: bool = True,
    seed: int = 0,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
    frames: int = 16,
    stride: int = 2,
    fps: float | None = None,
    sampling: str = "window",
    augment: str | Augment = "none",
    flip: float | None = None,
    split_seed: int = 0,
) -> tf.data.Dataset | tuple[tf.data.Dataset, tf.data.Dataset]:
    """Batches of clips from `<directory>/<class>/<video>`, as `image_dataset_from_directory`.

    A video is a file, or a folder of pictures; it may lie further down in folders of a person or a
    recording, which are then kept on one side of the split: see `keras_mtnet.data.groups`. If the
    folders above the classes are called `train`, `val` or `test`, or the directory holds the lists
    of UCF-101, these are the subsets, and `validation_split` is not looked at.

    Args:
        directory: the folder.
        labels: `"inferred"` from the class folders; None for clips alone; or an integer for each
            video, in the order of their paths, whatever the folders.
        class_names: names of the class folders in label order, of which some may be empty or not
            be there; sorted when None. For `labels="inferred"` only.
        image_size: height and width of a clip in pixels, which must be equal.
        shuffle: give random clips of the videos in random order, in full batches. Otherwise, and
            for validation, the middle clip of each video once, in the order of the names.
        seed: of the order and the clips. It does not change which videos are for validation.
        validation_split: share of the videos kept for validation, None for no split.
        subset: `"training"`, `"validation"`, or `"both"` for a pair.
        follow_links: look into folders below the class folders that are symbolic links.
        verbose: print how many files there are, and what decided which are for validation.
        split_seed: chooses the videos for validation. Read both subsets with the same one.
        label_mode, batch_size, frames, stride, fps, sampling, augment, flip: as for `clips`; the
            last two for training clips.

    Returns:
        As for `clips`; for `subset="both"` a pair for training and validation.

    Raises:
        ValueError: for a wrong argument or fewer than two classes.
        FileNotFoundError: if there is no such folder.

    Example:

    >>> import tempfile
    >>> import keras_mtnet as mt
    >>> root = tempfile.mkdtemp() + "/videos"
    >>> mt.data.draw_dataset(root, groups=3, clips_per_group=1, frames=8, size=(48, 32))
    >>> train, valid = mt.data.video_dataset_from_directory(
    ...     root, frames=4, image_size=(16, 16), validation_split=0.3, subset="both")
    Found 24 files belonging to 8 classes.
    Using 16 files for training.
    Using 8 files for validation.
    >>> len(train), len(valid), valid.class_names[0]
    (2, 1, 'DriftFast')
    """
    if subset not in (*_SUBSETS, "both"):
        raise ValueError(
            f"subset must be 'training', 'validation' or 'both'. Received: subset={subset!r}"
        )
    if validation_split is not None and subset is None:
        raise ValueError(
            "validation_split needs subset='training', 'validation' or 'both'. "
            f"Received: validation_split={validation_split}, subset=None"
        )
    if validation_split is not None:
        check_share(validation_split)
    size = _square(image_size)
    if labels != "inferred" if isinstance(labels, str) else class_names is not None:
        raise ValueError(
            "labels must be 'inferred', None or a list of integers; class_names needs 'inferred'. "
            f"Received: labels={labels!r}, class_names={class_names}"
        )

    split: dict[str, Any] = {"split_seed": split_seed}
    if validation_split is not None:
        split["validation_split"] = validation_split

    def find(name: str | None) -> Videos:
        if not isinstance(labels, str):
            found = _label(os.fspath(directory), labels, follow_links)
            request = Request("", subset=_SUBSETS[name], **split)
            wanted, rule = request.share_out([(video.name, video.label) for video in found])
            return Videos(itertools.compress(found, wanted), found.class_names, rule=rule)
        return read_split(
            "folder",
            directory,
            subset=_SUBSETS[name],
            **split,
            class_names=class_names,
            follow_links=follow_links,
        )

    wanted = ("training", "validation") if subset == "both" else (subset,)
    everything = find(None)
    _check_parts(everything, directory, subset, validation_split)
    found = {name: find(name) if name else everything for name in wanted}
    if verbose:  # that is what it asks for, as with Keras
        print(
            f"Found {len(everything)} files"
            + f" belonging to {len(everything.class_names)} classes" * (labels is not None)
            + ".",
            *(f"Using {len(videos)} files for {name}." for name, videos in found.items() if name),
            *{f"Split: {videos.rule}." for name, videos in found.items() if name and videos.rule},
            sep="\n",
        )
    sets = tuple(
        clips(
            videos,
            frames,
            stride,
            size,
            batch_size,
            training=shuffle and name != "validation",
            seed=seed,
            augment=augment if shuffle and name != "validation" else "none",
            flip=flip,
            label_mode=None if labels is None else label_mode,
            fps=fps,
            sampling=sampling,
        )
        for name, videos in found.items()
    )
    return sets if subset == "both" else sets[0]


def _check_parts(
    videos: Videos, directory: str | os.PathLike, subset: str | None, validation_split: float | None
) -> None:
    """Raises ValueError if it is not clear what is for validation."""
    if subset is not None and validation_split is None and videos.rule:
        raise ValueError(
            f"subset needs validation_split, as {os.fspath(directory)!r} has no folders or lists "
            f"for training and validation. Received: subset={subset!r}"
        )
    if subset is None and not videos.rule and videos.dataset == "folder":
        raise ValueError(
            f"{os.fspath(directory)!r} has folders for training and for validation or testing: "
            "give subset='training', 'validation' or 'both', or one of the folders as directory."
        )


def _label(directory: str, labels: Sequence[int] | None, follow_links: bool) -> Videos:
    """All videos of a folder, with the labels given."""
    if not os.path.isdir(directory):
        raise FileNotFoundError(f"no such folder: {directory!r}")
    names = list_videos(directory, follow_links)
    if labels is not None and len(labels) != len(names):
        raise ValueError(
            f"labels must be as many as there are videos in {directory!r}, {len(names)}. "
            f"Received: {len(labels)} labels"
        )
    known = [-1] * len(names) if labels is None else [int(label) for label in labels]
    classes = sorted(set(known))
    if labels is not None and classes != list(range(len(classes))):
        raise ValueError(f"labels must be 0, 1, ... without a gap. Received: {classes}")
    videos = (
        Video(os.path.join(directory, name), label, name)
        for name, label in zip(names, known, strict=True)
    )
    return Videos(videos, () if labels is None else map(str, classes), rule="labels as given")


def _square(image_size: int | Sequence[int]) -> int:
    sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    if len(sides) != 2 or sides[0] != sides[1]:
        raise ValueError(
            "image_size must be an integer or two equal ones, as clips are square. "
            f"Received: image_size={image_size!r}"
        )
    check_counts(image_size=sides[0])
    return int(sides[0])
