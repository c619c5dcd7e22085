"""Moments in Time: `training/<class>/<video>`, `validation/<class>/<video>` and their lists.

`trainingSet.csv` and `validationSet.csv` hold a line `<class>/<video>,<class>,<votes for>,<votes
against>` for each video and no heading; `moments_categories.txt` a line `<class>,<number from 0>`
for each class. The validation videos are the test subset.
"""

import os
from collections.abc import Iterator

from keras_mtnet.data.datasets import lists
from keras_mtnet.data.datasets.lists import Line, Listing, Request
from keras_mtnet.data.datasets.tree import Tree
from keras_mtnet.data.videos import Video

CLASSES = "moments_categories.txt"
# subset -> list, folder of its videos
LISTS = {
    "train": ("trainingSet.csv", "training"),
    "validation": ("validationSet.csv", "validation"),
}


def read(request: Request) -> Listing:
    """The videos that the lists name."""
    chosen = [LISTS[subset] for subset in request.choose(LISTS)]
    needed = [CLASSES, *(file for file, _ in chosen)]
    folder = lists.find_lists(
        request,
        "annotations",
        lambda place: all(os.path.isfile(os.path.join(place, name)) for name in needed),
        " and ".join(needed),
    )
    class_names = _read_classes(os.path.join(folder, CLASSES))
    labels = {name: label for label, name in enumerate(class_names)}
    tree = Tree(request.root)

    def videos() -> Iterator[tuple[Line, Video]]:
        for file, below in chosen:
            rows = lists.read_table(os.path.join(folder, file), ("path", "label"), header=False)
            for line, (path, class_name) in rows:
                name = lists.relative_path(line, path)
                label = lists.label_of(line, class_name, labels, CLASSES)
                yield line, Video(tree.find(below, *name.split("/")), label, f"{below}/{name}")

    return Listing(class_names, lists.unique(videos()), f"{folder} ({' and '.join(needed[1:])})")


def _read_classes(path: str) -> list[str]:
    fields = ((line, line.text.rpartition(",")) for line in lists.read_lines(path))
    pairs = ((line, number.strip(), name.strip()) for line, (name, _, number) in fields)
    return lists.number_classes(pairs, path, 0)
