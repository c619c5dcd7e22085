"""A list of your own: CSV with the columns `path,label` and optionally `start,end` in seconds.

`annotations` is a folder with `train.csv` and `val.csv`, `test.csv` or both, or one file, of which
a share is kept for validation. Columns are separated by commas, semicolons or tabs. Paths are below
the root. Classes are in the order of their names, and of their value if all are numbers; a
`classes.txt` beside the list, a name on each line, gives another order and refuses other labels.
"""

import itertools
import os
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from keras_mtnet.data.datasets import lists
from keras_mtnet.data.datasets.lists import Line, Listing, Request
from keras_mtnet.data.videos import Video

LISTS = {"train": r"train\.csv", "validation": r"val(id|idation)?\.csv", "test": r"test\.csv"}


class _Row(NamedTuple):
    line: Line
    path: str
    label: str
    start: float | None
    end: float | None


def read(request: Request) -> Listing:
    """The videos of a CSV file, or of several."""
    if request.annotations is not None and os.path.isfile(request.annotations):
        folder, paths = os.path.dirname(request.annotations), {"all": request.annotations}
    else:
        folder = lists.find_lists(
            request,
            "annotations",
            lambda place: "train" in (found := _find(place)) and len(found) > 1,
            "train.csv and val.csv or test.csv together",
        )
        paths = _find(folder)
    rows = {subset: list(_read_rows(path, request.root)) for subset, path in paths.items()}
    _warn_of_overlap(rows, paths)
    first = next(iter(rows))  # the training list, or the only one
    class_names, source = _class_names(folder, rows[first], paths[first])
    lists.check_several(class_names, source)
    labels = {name: label for label, name in enumerate(class_names)}
    chosen = [row for subset in (request.choose(rows) or ["all"]) for row in rows[subset]]
    rule = ""
    if "all" in paths:
        files = [(row.path, labels.get(row.label, -1)) for row in rows["all"]]
        wanted, rule = request.share_out(files)
        chosen = list(itertools.compress(rows["all"], wanted))

    def videos() -> Iterator[tuple[Line, Video]]:
        for line, file, name, start, end in chosen:
            label = lists.label_of(line, name, labels, source)
            path = os.path.join(request.root, *file.split("/"))
            path = path if os.path.exists(path) else ""
            yield line, Video(path, label, lists.part_name(file, start, end), start, end)

    return Listing(class_names, lists.unique(videos()), " and ".join(paths.values()), rule)


def _warn_of_overlap(rows: dict[str, list[_Row]], paths: dict[str, str]) -> None:
    for one, other in itertools.combinations(rows, 2):
        first, second = ({(r.path, r.start, r.end) for r in rows[each]} for each in (one, other))
        if both := sorted(path for path, *_ in first & second):
            names = [os.path.basename(paths[each]) for each in (one, other)]
            count = f"{len(both)} videos are" if len(both) > 1 else "1 video is"
            warnings.warn(
                f"{count} in {names[0]} and in {names[1]}, e.g. {both[0]!r}", stacklevel=4
            )


def _find(folder: str) -> dict[str, str]:
    """The lists of a folder by their subset."""
    found = {subset: lists.find_file(folder, pattern) for subset, pattern in LISTS.items()}
    return {subset: path for subset, path in found.items() if path is not None}


def _read_rows(path: str, root: str) -> Iterator[_Row]:
    table = lists.read_table(path, ("path", "label"), ("start", "end"))
    for line, (name, label, start, end) in table:
        if not label:
            raise ValueError(f"{line}: expected a label for {name!r}")
        value = _value(label)
        # Programs that fill in numbers write 2 as 2.0.
        whole = label.partition(".")[0] if value is not None and value.is_integer() else label
        yield _Row(
            line, lists.relative_path(line, name, root), whole, *lists.seconds(line, start, end)
        )


def _value(label: str) -> float | None:
    """The value of a label that is a plain decimal number; None for another."""
    return float(label) if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?", label) else None


def _class_names(folder: str, rows: list[_Row], path: str) -> tuple[list[str], str]:
    """The names in label order, and the file that gives them."""
    order = os.path.join(folder, "classes.txt")
    if os.path.isfile(order):
        lines = enumerate(lists.read_lines(order))
        pairs = ((line, str(number), line.text) for number, line in lines)
        return lists.number_classes(pairs, order, 0), order
    names = {row.label for row in rows}
    if all(_value(name) is not None for name in names):
        return sorted(names, key=lambda name: (float(name), name)), path
    return sorted(names), path
