"""UCF-101: `<root>/<Class>/<video>`; `classInd.txt`, `trainlist0N.txt`, `testlist0N.txt`.

Other data sets use its layout too. Lists, folders and files of UCF-101 do not agree on whether it
is `HandstandPushups` or `HandStandPushups`; case is not looked at where it does not help.
"""

import itertools
import os
from collections.abc import Iterator

from keras_mtnet.data.datasets.lists import (
    Entry,
    Line,
    Listing,
    Part,
    find_lists,
    number_classes,
    read_lines,
    relative_path,
    unique,
)
from keras_mtnet.data.datasets.tree import Tree


def has_lists(folder: str, split: int) -> bool:
    """Whether the lists of a split are in a folder."""
    names = ("classInd.txt", f"trainlist{split:02d}.txt", f"testlist{split:02d}.txt")
    return all(os.path.isfile(os.path.join(folder, name)) for name in names)


def read(part: Part) -> Listing:
    """The videos of a split that `classInd.txt` and the lists name."""
    folder = find_lists(
        part,
        "ucfTrainTestlist",
        lambda place: has_lists(place, part.split),
        f"classInd.txt, trainlist{part.split:02d}.txt and testlist{part.split:02d}.txt together",
    )
    class_names = read_class_index(os.path.join(folder, "classInd.txt"))
    labels = {name.casefold(): label for label, name in enumerate(class_names)}
    lists = ("train", "test") if part.subset == "all" else (part.subset,)
    paths = [os.path.join(folder, f"{name}list{part.split:02d}.txt") for name in lists]
    tree = Tree(part.root)

    def entries() -> Iterator[tuple[Line, Entry]]:
        for line in itertools.chain.from_iterable(map(read_lines, paths)):
            name, label = _read_entry(line, labels)
            yield line, Entry(name, label, tree.find(*name.split("/")))

    return Listing(class_names, unique(entries()), " and ".join(paths))


def read_class_index(path: str) -> list[str]:
    """Reads `classInd.txt`: a number from 1 and a name on each line."""
    pairs = ((line, *line.text.partition(" ")[::2]) for line in read_lines(path))
    return number_classes(((line, number, name.strip()) for line, number, name in pairs), path, 1)


def _read_entry(line: Line, labels: dict[str, int]) -> tuple[str, int]:
    """Reads 'Class/file.avi' with or without a number from 1 behind it: name, label from 0."""
    name, _, number = line.text.rpartition(" ")
    if not number.isdecimal() or not name:
        name, number = line.text, ""
    name = relative_path(line, name.strip())
    if name.count("/") != 1:
        raise ValueError(f"{line}: expected 'Class/file'. Received: {name!r}")
    class_name = name.split("/")[0]
    label = labels.get(class_name.casefold())
    if label is None:
        raise ValueError(f"{line}: {class_name!r} is not a class of classInd.txt")
    if number and not 1 <= int(number) <= len(labels):
        raise ValueError(f"{line}: labels are 1 to {len(labels)}. Received: {number}")
    if number and int(number) != label + 1:
        raise ValueError(f"{line}: {class_name!r} has label {label + 1}. Received: {number}")
    return name, label
