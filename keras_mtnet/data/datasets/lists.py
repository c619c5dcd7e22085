"""Reading lists of videos. Whatever is wrong in one is refused with file name and line number."""

import csv
import dataclasses
import math
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from keras_mtnet.data.groups import choose_tests, find_groups
from keras_mtnet.data.videos import Video


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for. Attributes are the arguments of `read_split`."""

    root: str
    annotations: str | None = None
    split: int = 1
    subset: str = "train"
    validation_split: float = 0.2
    split_seed: int = 0
    class_names: tuple[str, ...] | None = None
    follow_links: bool = True

    def choose(self, lists: Iterable[str]) -> list[str]:
        """Which of the lists of a data set, named as subsets are, make up the subset."""
        lists = list(lists)
        if self.subset == "all":
            return lists
        order = {"validation": ("validation", "test"), "test": ("test", "validation")}
        return [name for name in order.get(self.subset, (self.subset,)) if name in lists][:1]

    def share_out(self, files: Sequence[tuple[str, int]]) -> tuple[list[bool], str]:
        """Which files, each with its label, are in the subset where no list tells; and the rule."""
        if self.subset == "all":
            return [True] * len(files), find_groups(files)[1]
        tests, rule = choose_tests(files, self.validation_split, self.split_seed)
        return [(file in tests) != (self.subset == "train") for file, _ in files], rule


class Listing(NamedTuple):
    """A part of a data set."""

    class_names: Sequence[str]
    videos: Iterable[Video]  # those that are not on disk have the path ""
    source: str  # the lists they come from, for messages
    rule: str = ""  # how videos were shared out, if not by lists or folders of the data set


class Line(NamedTuple):
    """A line of a list that is not empty; str() of it tells where it is."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"


# --- Finding lists -------------------------------------------------------------------------------


def find_lists(request: Request, folder: str, has: Callable[[str], bool], wanted: str) -> str:
    """The folder with the lists: `annotations`, or else the root, or `folder` in or beside it.

    `has` tells whether they are in a folder, `wanted` what they are called, for the message.
    """
    beside = os.path.join(os.path.dirname(os.path.abspath(request.root)), folder)
    places = [request.root, os.path.join(request.root, folder), beside]
    places = places if request.annotations is None else [request.annotations]
    for place in places:
        if os.path.isdir(place) and has(place):
            return place
    raise FileNotFoundError(
        f"no {wanted} in {' or '.join(map(repr, places))}: give the folder as annotations"
    )


def find_file(folder: str, pattern: str) -> str | None:
    """The one file of a folder whose whole name matches, whatever its case; None if none does."""
    names = sorted(n for n in os.listdir(folder) if re.fullmatch(pattern, n, re.IGNORECASE))
    if len(names) > 1:
        raise ValueError(f"{folder!r} holds {' and '.join(names)}: leave one of them there")
    return os.path.join(folder, names[0]) if names else None


# --- Reading lists -------------------------------------------------------------------------------


def read_lines(path: str) -> Iterator[Line]:
    """The lines of a text file that are not empty."""
    with open(path, encoding="utf-8-sig") as file:
        try:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield Line(path, number, text.strip())
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not a text file in UTF-8") from error


def read_table(
    path: str, columns: Sequence[str], optional: Sequence[str] = (), header: bool = True
) -> Iterator[tuple[Line, list[str]]]:
    """The rows of a CSV file that are not empty: where each is, and a text for each of the columns.

    Other columns than `columns` and `optional` are passed over; of `optional` ones that the file
    lacks, the text is "". Without `header` the columns are `columns` in order.

    Raises:
        ValueError: for a missing column or field.
    """
    names = None if header else list(columns)
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=_delimiter(first, columns))
            for row in reader:
                line = Line(path, reader.line_num, "")
                fields = [field.strip() for field in row]
                if not any(fields):
                    continue
                if names is None:
                    names = _check_header(line, fields, columns)
                    continue
                if len(fields) < len(columns) or (header and len(fields) > len(names)):
                    raise ValueError(f"{line}: expected {','.join(names)}. Received: {row}")
                values = dict(zip(names, fields, strict=False))
                yield line, [values.get(name, "") for name in (*columns, *optional)]
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not a text file in UTF-8") from error
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _check_header(line: Line, fields: list[str], columns: Sequence[str]) -> list[str]:
    fields = list(map(str.lower, fields))
    if set(columns) - set(fields) or len(set(fields)) < len(fields):
        raise ValueError(f"{line}: expected the columns {','.join(columns)}. Received: {fields}")
    return fields


def _delimiter(heading: str, columns: Sequence[str]) -> str:
    """What separates the columns: a comma, or as in many spreadsheets a semicolon or tab."""
    for delimiter in ",;\t":
        if set(columns) <= {field.strip(' "\r\n') for field in heading.lower().split(delimiter)}:
            return delimiter
    return ","


# --- Fields --------------------------------------------------------------------------------------


def number_classes(pairs: Iterable[tuple[Line, str, str]], path: str, first: int) -> list[str]:
    """Class names in the order of their numbers, from line, number and name of each class.

    Raises:
        ValueError: unless each number from `first` on and each name is there once.
    """
    names: dict[int, str] = {}
    for line, number, name in pairs:
        if not number.isdecimal() or not name:
            raise ValueError(f"{line}: expected a number and a class. Received: {line.text!r}")
        if int(number) in names or name in names.values():
            raise ValueError(f"{line}: a number or name is there already: {number} {name!r}")
        names[int(number)] = name
    last = first + len(names) - 1
    if sorted(names) != list(range(first, last + 1)):
        raise ValueError(f"{path}: the numbers must be {first} to {last}, each once")
    return [names[number] for number in sorted(names)]


def check_several(class_names: Sequence[str], source: str) -> None:
    """Raises ValueError unless there are at least two classes."""
    if len(class_names) < 2:
        raise ValueError(
            f"{source}: classification needs at least two classes. Received: {len(class_names)}"
        )


def label_of(line: Line, name: str, labels: dict[str, int], classes: str) -> int:
    """The label of a class name; ValueError if it is none of those that are listed in `classes`."""
    if name not in labels:
        raise ValueError(f"{line}: {name!r} is not a class of {classes}")
    return labels[name]


def relative_path(line: Line, text: str, root: str | None = None) -> str:
    """A path below the root with forward slashes; ValueError if it leaves the root."""
    path = text.replace("\\", "/")
    if root is not None and os.path.isabs(path):
        for place in (os.path.abspath(root), os.path.realpath(root)):
            if path.startswith(f"{place}/"):
                path = path[len(place) + 1 :].lstrip("/")
    if not path or "\0" in path:
        raise ValueError(f"{line}: expected a path. Received: {text!r}")
    if path.startswith("/") or ".." in path.split("/") or re.match("[A-Za-z]:", path):
        raise ValueError(f"{line}: {text!r} leaves the root: give a path below it")
    return posixpath.normpath(path)


def youtube_id(line: Line, text: str) -> str:
    """An identifier that is safe in a file name; ValueError if it holds anything else."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError(f"{line}: expected a YouTube identifier. Received: {text!r}")
    return text


def seconds(line: Line, start: str, end: str) -> tuple[float | None, float | None]:
    """Start and end of a part in seconds, None where the text is empty; ValueError if wrong."""
    try:
        first, last = (float(text) if text else None for text in (start, end))
    except ValueError as error:
        raise ValueError(f"{line}: expected seconds. Received: {start!r}, {end!r}") from error
    begin, stop = first or 0.0, math.inf if last is None else last
    if not 0 <= begin < stop or not math.isfinite(begin) or last == math.inf:
        raise ValueError(f"{line}: expected 0 <= start < end. Received: {start!r}, {end!r}")
    return first, last


def part_name(name: str, start: float | None, end: float | None) -> str:
    """The name of a part of a video, `name 1.5-4 s`; that of the video if it is all of it."""
    if start is None and end is None:
        return name
    first, last = ("" if t is None else str(t).removesuffix(".0") for t in (start, end))
    return f"{name} {first}-{last} s"


def unique(videos: Iterable[tuple[Line, Video]]) -> Iterator[Video]:
    """The videos, each once; ValueError where one is listed again with another label or part."""
    seen: dict[str, Video] = {}
    for line, video in videos:
        known = seen.setdefault(video.name, video)
        if known is video:
            yield video
        elif known != video:
            raise ValueError(f"{line}: {video.name!r} is listed twice, with different labels")
