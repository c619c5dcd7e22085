"""HMDB-51: `<root>/<class>/<video>`; a list `<class>_test_split<N>.txt` for each class and split.

Classes are in the order of their names. A list gives each video of its class a number: 1 for
training, 2 for testing, 0 for neither.
"""

import os
import re
from collections.abc import Iterator

from keras_mtnet.data.datasets import lists
from keras_mtnet.data.datasets.lists import Line, Listing, Request
from keras_mtnet.data.datasets.tree import Tree
from keras_mtnet.data.videos import Video

USES = {"train": "1", "test": "2", "neither": "0"}


def read(request: Request) -> Listing:
    """The videos of a split that the class lists name."""
    folder = lists.find_lists(
        request,
        "testTrainMulti_7030_splits",
        lambda place: bool(_class_lists(place, request.split)),
        f"<class>_test_split{request.split}.txt",
    )
    paths = _class_lists(folder, request.split)
    wanted = {USES[name] for name in request.choose(USES)}
    tree = Tree(request.root)

    def videos() -> Iterator[tuple[Line, Video]]:
        for label, (class_name, path) in enumerate(paths.items()):
            for line in lists.read_lines(path):
                file, use = _read_line(line)
                if use in wanted:
                    yield line, Video(tree.find(class_name, file), label, f"{class_name}/{file}")

    return Listing(list(paths), lists.unique(videos()), os.path.join(folder, "*"))


def _class_lists(folder: str, split: int) -> dict[str, str]:
    """Class name to the path of its list, sorted."""
    found = (re.fullmatch(rf"(.+)_test_split{split}\.txt", name) for name in os.listdir(folder))
    return {
        match[1]: os.path.join(folder, match[0])
        for match in sorted(filter(None, found), key=lambda match: match[1])
    }


def _read_line(line: Line) -> tuple[str, str]:
    file, _, use = line.text.rpartition(" ")
    if use not in USES.values():
        raise ValueError(f"{line}: expected '<video> 0', 1 or 2. Received: {line.text!r}")
    file = lists.relative_path(line, file.strip())
    if "/" in file:
        raise ValueError(f"{line}: expected a file of the class folder. Received: {file!r}")
    return file, use
