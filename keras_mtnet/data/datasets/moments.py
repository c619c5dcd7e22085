"""Moments in Time: `training/<class>/<video>`, `validation/<class>/<video>` and their lists.

`trainingSet.csv` and `validationSet.csv` hold a line `<class>/<video>,<class>,<votes for>,<votes
against>` for each video and no heading; `moments_categories.txt` a line `<class>,<number from 0>`
for each class. The validation videos are the test subset.
"""

import os
from collections.abc import Iterator

from keras_mtnet.data.datasets.lists import (
    Entry,
    Line,
    Listing,
    Part,
    find_lists,
    label_of,
    number_classes,
    read_lines,
    read_table,
    relative_path,
    unique,
)
from keras_mtnet.data.datasets.tree import Tree

CLASSES = "moments_categories.txt"
# subset -> list, folder of its videos
LISTS = {"train": ("trainingSet.csv", "training"), "test": ("validationSet.csv", "validation")}


def read(part: Part) -> Listing:
    """The videos that the lists name."""
    chosen = [each for subset, each in LISTS.items() if part.subset in (subset, "all")]
    needed = [CLASSES, *(file for file, _ in chosen)]
    folder = find_lists(
        part,
        "annotations",
        lambda place: all(os.path.isfile(os.path.join(place, name)) for name in needed),
        " and ".join(needed),
    )
    class_names = _read_classes(os.path.join(folder, CLASSES))
    labels = {name: label for label, name in enumerate(class_names)}
    tree = Tree(part.root)

    def entries() -> Iterator[tuple[Line, Entry]]:
        for file, videos in chosen:
            rows = read_table(os.path.join(folder, file), ("path", "label"), header=False)
            for line, (path, class_name) in rows:
                name = relative_path(line, path)
                label = label_of(line, class_name, labels, CLASSES)
                yield line, Entry(f"{videos}/{name}", label, tree.find(videos, *name.split("/")))

    return Listing(class_names, unique(entries()), f"{folder} ({' and '.join(needed[1:])})")


def _read_classes(path: str) -> list[str]:
    pairs = ((line, *line.text.rpartition(",")[::2]) for line in read_lines(path))
    return number_classes(
        ((line, number.strip(), name.strip()) for line, name, number in pairs), path, 0
    )
