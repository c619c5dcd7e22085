"""HMDB-51: `<root>/<class>/<video>`; a list `<class>_test_split<N>.txt` for each class and split.

Classes are in the order of their names. A list gives each video of its class a number: 1 for
training, 2 for testing, 0 for neither.
"""

import os
import re
from collections.abc import Iterator

from keras_mtnet.data.datasets.lists import (
    Entry,
    Line,
    Listing,
    Part,
    find_lists,
    read_lines,
    relative_path,
    unique,
)
from keras_mtnet.data.datasets.tree import Tree

USES = {"train": ("1",), "test": ("2",), "all": ("0", "1", "2")}


def read(part: Part) -> Listing:
    """The videos of a split that the class lists name."""
    folder = find_lists(
        part,
        "testTrainMulti_7030_splits",
        lambda place: bool(_class_lists(place, part.split)),
        f"<class>_test_split{part.split}.txt",
    )
    lists = _class_lists(folder, part.split)
    tree = Tree(part.root)

    def entries() -> Iterator[tuple[Line, Entry]]:
        for label, (class_name, path) in enumerate(lists.items()):
            for line in read_lines(path):
                file, use = _read_entry(line)
                if use in USES[part.subset]:
                    entry = Entry(f"{class_name}/{file}", label, tree.find(class_name, file))
                    yield line, entry

    return Listing(list(lists), unique(entries()), os.path.join(folder, "*"))


def _class_lists(folder: str, split: int) -> dict[str, str]:
    """Class name to the path of its list, sorted."""
    found = (re.fullmatch(rf"(.+)_test_split{split}\.txt", name) for name in os.listdir(folder))
    return {
        match[1]: os.path.join(folder, match[0])
        for match in sorted(filter(None, found), key=lambda match: match[1])
    }


def _read_entry(line: Line) -> tuple[str, str]:
    file, _, use = line.text.rpartition(" ")
    if use not in USES["all"]:
        raise ValueError(f"{line}: expected '<video> 0', 1 or 2. Received: {line.text!r}")
    file = relative_path(line, file.strip())
    if "/" in file:
        raise ValueError(f"{line}: expected a file of the class folder. Received: {file!r}")
    return file, use
