"""A list of one's own: CSV with the columns `path,label` and, if wanted, `start,end` in seconds.

`annotations` is a folder with `train.csv` and `test.csv` (or `val.csv`), or one file, of which a
share is kept for testing. Paths are below the root. Classes are in the order of their names, and of
their value if all are numbers; a `classes.txt` beside the list, a name on each line, gives another
order and refuses other labels.
"""

import os
from collections.abc import Iterator

from keras_mtnet.data.datasets.folder import check_training, choose_tests
from keras_mtnet.data.datasets.lists import (
    Entry,
    Line,
    Listing,
    Part,
    find_file,
    find_lists,
    label_of,
    number_classes,
    part_name,
    read_lines,
    read_table,
    relative_path,
    seconds,
    unique,
)

LISTS = {"train": r"train\.csv", "test": r"(test|val)\.csv"}
Row = tuple[Line, str, str, float | None, float | None]


def read(part: Part) -> Listing:
    """The videos of a CSV file, or of one of two."""
    if part.annotations is not None and os.path.isfile(part.annotations):
        folder, paths = os.path.dirname(part.annotations), {"all": part.annotations}
    else:
        folder = find_lists(
            part,
            "annotations",
            lambda place: all(find_file(place, pattern) for pattern in LISTS.values()),
            "train.csv and test.csv together",
        )
        paths = {subset: find_file(folder, pattern) for subset, pattern in LISTS.items()}
    rows = {subset: list(_read_rows(path)) for subset, path in paths.items()}
    class_names, source = _class_names(folder, rows, paths)
    if "all" in paths and part.subset != "all":
        rows = _share_out(rows["all"], part)
    chosen = [row for subset in rows if part.subset in (subset, "all") for row in rows[subset]]
    entries = list(_entries(chosen, class_names, source, part.root))
    if "all" in paths:
        check_training(class_names, {entry.label for _, entry in entries}, part)
    return Listing(class_names, unique(entries), " and ".join(paths.values()))


def _read_rows(path: str) -> Iterator[Row]:
    for line, (name, label, start, end) in read_table(path, ("path", "label"), ("start", "end")):
        if not label:
            raise ValueError(f"{line}: expected a label for {name!r}")
        yield line, relative_path(line, name), label, *seconds(line, start, end)


def _class_names(
    folder: str, rows: dict[str, list[Row]], paths: dict[str, str]
) -> tuple[list[str], str]:
    """The names in label order, and the file that gives them."""
    path = os.path.join(folder, "classes.txt")
    if os.path.isfile(path):
        lines = list(read_lines(path))
        pairs = ((line, str(number), line.text) for number, line in enumerate(lines))
        return number_classes(pairs, path, 0), path
    first = next(iter(rows))  # the training list, or the only one
    names = {label for _, _, label, *_ in rows[first]}
    in_order = sorted(names, key=int) if all(map(str.isdecimal, names)) else sorted(names)
    return in_order, paths[first]


def _share_out(rows: list[Row], part: Part) -> dict[str, list[Row]]:
    """Rows for training and for testing; all parts of a file are on the same side."""
    files: dict[str, dict[str, None]] = {}
    seen = set()
    for _, name, label, *_ in rows:
        if name not in seen:
            files.setdefault(label, {})[name] = None
            seen.add(name)
    tests = choose_tests(
        {label: list(names) for label, names in files.items()}, part.validation_split, part.seed
    )
    return {
        "train": [row for row in rows if row[1] not in tests],
        "test": [row for row in rows if row[1] in tests],
    }


def _entries(
    rows: list[Row], class_names: list[str], source: str, root: str
) -> Iterator[tuple[Line, Entry]]:
    labels = {name: label for label, name in enumerate(class_names)}
    for line, file, label, start, end in rows:
        path = os.path.join(root, *file.split("/"))
        found = path if os.path.exists(path) else None
        name = part_name(file, start, end)
        yield line, Entry(name, label_of(line, label, labels, source), found, start, end)
