"""UCF-101: `<root>/<Class>/<video>`; `classInd.txt`, `trainlist0N.txt`, `testlist0N.txt`.

Other data sets use its layout too. Lists, folders and files of UCF-101 do not agree on whether it
is `HandstandPushups` or `HandStandPushups`; case is not looked at where it does not help.
"""

import os
from collections.abc import Iterator

from keras_mtnet.data.datasets import lists
from keras_mtnet.data.datasets.lists import Line, Listing, Request
from keras_mtnet.data.datasets.tree import Tree
from keras_mtnet.data.videos import Video

CLASSES = "classInd.txt"


def has_lists(folder: str, split: int) -> bool:
    """Whether the lists of a split are in a folder."""
    names = (CLASSES, f"trainlist{split:02d}.txt", f"testlist{split:02d}.txt")
    return all(os.path.isfile(os.path.join(folder, name)) for name in names)


def read(request: Request) -> Listing:
    """The videos of a split that `classInd.txt` and the lists name."""
    split = request.split
    folder = lists.find_lists(
        request,
        "ucfTrainTestlist",
        lambda place: has_lists(place, split),
        f"{CLASSES}, trainlist{split:02d}.txt and testlist{split:02d}.txt together",
    )
    class_names = read_class_index(os.path.join(folder, CLASSES))
    labels = {name.casefold(): label for label, name in enumerate(class_names)}
    chosen = request.choose(("train", "test"))
    paths = [os.path.join(folder, f"{name}list{split:02d}.txt") for name in chosen]
    tree = Tree(request.root)

    def videos() -> Iterator[tuple[Line, Video]]:
        for path in paths:
            for line in lists.read_lines(path):
                name, label = _read_line(line, labels)
                yield line, Video(tree.find(*name.split("/")), label, name)

    return Listing(class_names, lists.unique(videos()), " and ".join(paths))


def read_class_index(path: str) -> list[str]:
    """Reads `classInd.txt`: a number from 1 and a name on each line."""
    fields = ((line, line.text.partition(" ")) for line in lists.read_lines(path))
    pairs = ((line, number, name.strip()) for line, (number, _, name) in fields)
    return lists.number_classes(pairs, path, 1)


def _read_line(line: Line, labels: dict[str, int]) -> tuple[str, int]:
    """Reads 'Class/file.avi' with or without a number from 1 behind it: name, label from 0."""
    name, _, number = line.text.rpartition(" ")
    if not number.isdecimal() or not name:
        name, number = line.text, ""
    name = lists.relative_path(line, name.strip())
    if name.count("/") != 1:
        raise ValueError(f"{line}: expected 'Class/file'. Received: {name!r}")
    class_name = name.split("/")[0]
    label = labels.get(class_name.casefold())
    if label is None:
        raise ValueError(f"{line}: {class_name!r} is not a class of {CLASSES}")
    if number and not 1 <= int(number) <= len(labels):
        raise ValueError(f"{line}: labels are 1 to {len(labels)}. Received: {number}")
    if number and int(number) != label + 1:
        raise ValueError(f"{line}: {class_name!r} has label {label + 1}. Received: {number}")
    return name, label
