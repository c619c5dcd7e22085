"""One folder per class to data sets, by the argument names of Keras' own utility for images."""

import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from keras_mtnet.data.augment import Augment
from keras_mtnet.data.catalog import read_split
from keras_mtnet.data.pipeline import clips
from keras_mtnet.data.videos import Videos

_SUBSETS = {None: "all", "training": "train", "validation": "test"}


def video_dataset_from_directory(
    directory: str | os.PathLike,
    label_mode: str | None = "int",
    batch_size: int = 8,
    image_size: int | Sequence[int] = (224, 224),
    shuffle: bool = True,
    seed: int = 0,
    validation_split: float | None = None,
    subset: str | None = None,
    verbose: bool = True,
    frames: int = 16,
    stride: int = 2,
    fps: float | None = None,
    sampling: str = "window",
    augment: str | Augment = "none",
    flip: float | None = None,
) -> tf.data.Dataset | tuple[tf.data.Dataset, tf.data.Dataset]:
    """Batches of clips from `<directory>/<class>/<video>`, as `image_dataset_from_directory`.

    Args:
        directory: the folder. Labels are the places of the class folders in sorted order. A folder
            with UCF-101 lists in it is split as they say.
        label_mode: as for `clips`.
        batch_size: clips in a batch.
        image_size: height and width of a clip in pixels, which must be equal.
        shuffle: give random clips of the videos in random order. Otherwise, and for validation,
            the middle clips in the order of the names.
        seed: of the order and the clips. It does not change which videos are for validation.
        validation_split: share of the videos kept for validation, None for no split.
        subset: `"training"`, `"validation"` or `"both"` for a pair; with `validation_split` only.
        verbose: log how many files there are.
        frames: frames in a clip.
        stride: distance between neighboring frames of a clip.
        fps: as for `clips`.
        sampling: as for `clips`.
        augment: as for `clips`, of training clips.
        flip: as for `clips`, of training clips.

    Returns:
        As for `clips`.

    Raises:
        ValueError: for a wrong argument or fewer than two classes.
        FileNotFoundError: if there is no such folder.
    """
    if subset not in (*_SUBSETS, "both"):
        raise ValueError(
            f"subset must be 'training', 'validation' or 'both'. Received: subset={subset!r}"
        )
    if (subset is None) != (validation_split is None):
        raise ValueError(
            "subset and validation_split are given together or not at all. "
            f"Received: subset={subset!r}, validation_split={validation_split}"
        )
    size = _square(image_size)
    share: dict[str, Any] = {"root": os.fspath(directory)}
    if validation_split is not None:
        share["validation_split"] = validation_split

    def batches(videos: Videos, training: bool) -> tf.data.Dataset:
        return clips(
            videos,
            frames,
            stride,
            size,
            batch_size,
            training,
            seed,
            augment if training else "none",
            flip,
            label_mode,
            fps,
            sampling,
        )

    wanted = ("training", "validation") if subset == "both" else (subset,)
    found = [read_split("folder", subset=_SUBSETS[name], **share) for name in wanted]
    if verbose:
        logging.info(
            "Found %d files belonging to %d classes.",
            sum(map(len, found)),
            len(found[0].class_names),
        )
    sets = [
        batches(videos, shuffle and name != "validation")
        for name, videos in zip(wanted, found, strict=True)
    ]
    return tuple(sets) if subset == "both" else sets[0]


def _square(image_size: int | Sequence[int]) -> int:
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or sides[0] != sides[1]:
        raise ValueError(
            "image_size must be an integer or two equal ones, as clips are square. "
            f"Received: image_size={image_size!r}"
        )
    return sides[0]
