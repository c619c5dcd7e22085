"""Plain class folders: `<root>/<class>/<video>`, a file or a folder of pictures."""

import itertools
import os
import random
import re
from collections.abc import Iterable

from keras_mtnet.data.datasets.lists import Entry, Listing, Part
from keras_mtnet.video.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES


def read(part: Part) -> Listing:
    """The videos of all class folders, or a share of them."""
    names = {entry: _list_videos(part.root, entry) for entry in _list_folders(part.root)}
    if not names:
        raise ValueError(f"{part.root!r} holds no class folder: expected <root>/<class>/<video>")
    for class_name, videos in names.items():
        if not videos:
            raise ValueError(
                f"{os.path.join(part.root, class_name)!r} holds no video: fill or remove it"
            )
    everything = part.subset == "all"
    tests = set() if everything else choose_tests(names, part.validation_split, part.seed)
    entries = [
        Entry(name, label, os.path.join(part.root, name))
        for label, class_name in enumerate(names)
        for name in names[class_name]
        if everything or (name in tests) == (part.subset == "test")
    ]
    check_training(list(names), {entry.label for entry in entries}, part)
    return Listing(list(names), entries, repr(part.root))


def _list_folders(root: str) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _list_videos(root: str, class_name: str) -> list[str]:
    """Names of the videos of a class: files, and folders of pictures."""
    with os.scandir(os.path.join(root, class_name)) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and _is_video(e)]
    return sorted(f"{class_name}/{name}" for name in names)


def _is_video(entry: os.DirEntry) -> bool:
    if entry.is_file():
        return entry.name.lower().endswith(VIDEO_SUFFIXES)
    return any(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(entry.path))


def choose_tests(names: dict[str, list[str]], validation_split: float, seed: int) -> set[str]:
    """The videos to test on.

    Args:
        names: those of each class.
        validation_split: the share of them.
        seed: chooses.

    Returns:
        Whole groups where all names tell them (`..._g07_c02.avi`), else a share of each class.
    """
    if not 0 < validation_split < 1:
        raise ValueError(f"validation_split must be between 0 and 1. Received: {validation_split}")
    everything = list(itertools.chain.from_iterable(names.values()))
    groups = {name: re.search(r"_g(\d+)_c\d+\.\w+$", name) for name in everything}
    if all(groups.values()):
        numbers = _share({int(match[1]) for match in groups.values()}, validation_split, seed)
        return {name for name, match in groups.items() if int(match[1]) in numbers}
    chosen = [_share(videos, validation_split, seed) for videos in names.values()]
    return set(itertools.chain.from_iterable(chosen))


def check_training(class_names: list[str], labels: set[int], part: Part) -> None:
    """Raises ValueError if the share for testing left nothing of some class to train on."""
    empty = [name for label, name in enumerate(class_names) if label not in labels]
    if part.subset == "train" and empty:
        raise ValueError(
            f"no video of class {empty[0]!r} is left for training: choose a validation_split "
            f"below {part.validation_split}, or another split_seed than {part.seed}"
        )


def _share(items: Iterable, share: float, seed: int) -> set:
    """A part of `items` chosen by `seed`: at least one, but never all."""
    items = sorted(items)
    count = min(max(1, round(share * len(items))), len(items) - 1)
    return set(random.Random(seed).sample(items, count))
