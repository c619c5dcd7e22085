"""Kinetics-400 and -700: a training and a validation list, `label,youtube_id,time_start,time_end`.

Lists are called `train.csv` and `val.csv`, or as other releases call them (`validate.csv`,
`kinetics_train.csv`, `kinetics-400_val.csv`). Classes are in the order of their names. Validation
videos are the test subset: the real test list has no labels in every release.

A video is looked for by its file name, in the root and up to three folders below, so any of the
usual trees will do (`train/<class>/`, `<class>/`, all in one folder):
- `<id>_000010_000020.<suffix>`: the part from 10 to 20 seconds, cut out.
- `<id>.<suffix>`: the whole video, of which that part is used.
Of several files of one name, that in the folder of its class is taken; then one in a folder of
replacements, as those that the hosts of Kinetics-400 give for broken files.
"""

import os
from collections.abc import Iterator

from keras_mtnet.data.datasets.lists import (
    Entry,
    Line,
    Listing,
    Part,
    find_file,
    find_lists,
    label_of,
    read_table,
    seconds,
    unique,
    youtube_id,
)
from keras_mtnet.data.datasets.tree import Tree, class_key

_PREFIX = r"(k(inetics)?[-_]?)?((400|700)([-_]2020)?[-_])?"
LISTS = {"train": rf"{_PREFIX}train\.csv", "test": rf"{_PREFIX}val(idate|idation)?\.csv"}
_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read(part: Part) -> Listing:
    """The videos that the lists name."""
    folder = find_lists(
        part,
        "annotations",
        lambda place: all(find_file(place, pattern) for pattern in LISTS.values()),
        "train.csv and val.csv together",
    )
    paths = {subset: find_file(folder, pattern) for subset, pattern in LISTS.items()}
    class_names = sorted({row[0] for _, row in read_table(paths["train"], _COLUMNS)})
    labels = {name: label for label, name in enumerate(class_names)}
    chosen = [path for subset, path in paths.items() if part.subset in (subset, "all")]
    stems = Tree(part.root).stems()

    def entries() -> Iterator[tuple[Line, Entry]]:
        for path in chosen:
            for line, (class_name, video, first, last) in read_table(path, _COLUMNS):
                label = label_of(line, class_name, labels, paths["train"])
                start, end = seconds(line, first, last)
                if start is None or end is None:
                    raise ValueError(f"{line}: expected start and end in seconds")
                stem = f"{youtube_id(line, video)}_{int(start):06d}_{int(end):06d}"
                name = f"{class_name}/{stem}"
                if cut := choose(stems.get(stem, []), class_name):
                    yield line, Entry(name, label, cut)
                else:
                    whole = choose(stems.get(video, []), class_name)
                    yield line, Entry(name, label, whole, start, end)

    return Listing(class_names, unique(entries()), " and ".join(chosen))


def choose(paths: list[str], class_name: str) -> str | None:
    """The path to take of several for one video; None if there is none."""

    def order(path: str) -> tuple[bool, bool, str]:
        folder = os.path.dirname(path)
        other_class = class_key(os.path.basename(folder)) != class_key(class_name)
        return other_class, "replacement" not in folder, path

    return min(paths, key=order, default=None)
