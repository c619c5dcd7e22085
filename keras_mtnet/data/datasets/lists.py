"""Reading lists of videos. Whatever is wrong in one is refused with file name and line number."""

import csv
import dataclasses
import math
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class Part:
    """What is asked for. Attributes are the arguments of `read_split`."""

    root: str
    annotations: str | None
    split: int
    subset: str
    validation_split: float
    seed: int


class Entry(NamedTuple):
    """A listed video: see `Video`. `path` is None if it is not on disk."""

    name: str
    label: int
    path: str | None
    start: float | None = None
    end: float | None = None


class Listing(NamedTuple):
    """A part of a data set: names in label order, its videos, and the lists they come from."""

    class_names: Sequence[str]
    entries: Iterable[Entry]
    source: str


class Line(NamedTuple):
    """A line of a list that is not empty; str() of it tells where it is."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"


# --- Finding lists -------------------------------------------------------------------------------


def find_lists(part: Part, folder: str, has: Callable[[str], bool], wanted: str) -> str:
    """The folder with the lists: `annotations`, or else the root, or `folder` in or beside it.

    Args:
        part: what is asked for.
        folder: the name under which the lists are usually unpacked.
        has: whether they are in a folder.
        wanted: what they are called, for the message.

    Raises:
        FileNotFoundError: naming the places that were looked at.
    """
    beside = os.path.join(os.path.dirname(os.path.abspath(part.root)), folder)
    places = [part.root, os.path.join(part.root, folder), beside]
    places = places if part.annotations is None else [part.annotations]
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
    """The rows of a CSV file that are not empty.

    Args:
        path: the file.
        columns: names of the columns to give, in this order; others are passed over.
        optional: further ones; "" where the file lacks them.
        header: whether the first line names the columns. Otherwise they are `columns` in order.

    Yields:
        Where the row is, and a text for each of `columns` and `optional`.

    Raises:
        ValueError: for a missing column or field.
    """
    names = None if header else list(columns)
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
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
    if set(columns) - set(fields) or len(set(fields)) < len(fields):
        raise ValueError(f"{line}: expected the columns {','.join(columns)}. Received: {fields}")
    return fields


# --- Fields --------------------------------------------------------------------------------------


def number_classes(pairs: Iterable[tuple[Line, str, str]], path: str, first: int) -> list[str]:
    """Class names in the order of their numbers.

    Args:
        pairs: line, number and name of each class.
        path: the list, for the message.
        first: the lowest number.

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


def label_of(line: Line, name: str, labels: dict[str, int], classes: str) -> int:
    """The label of a class name.

    Raises:
        ValueError: if it is none of `classes`, which says where they are listed.
    """
    if name not in labels:
        raise ValueError(f"{line}: {name!r} is not a class of {classes}")
    return labels[name]


def relative_path(line: Line, text: str) -> str:
    """A path below the root with forward slashes.

    Raises:
        ValueError: if it is absolute or leaves the root.
    """
    path = text.replace("\\", "/")
    if not path or "\0" in path:
        raise ValueError(f"{line}: expected a path. Received: {text!r}")
    if path.startswith("/") or ".." in path.split("/") or re.match("[A-Za-z]:", path):
        raise ValueError(f"{line}: {text!r} leaves the root: give a path below it")
    return posixpath.normpath(path)


def youtube_id(line: Line, text: str) -> str:
    """An identifier that is safe in a file name.

    Raises:
        ValueError: if it holds anything but letters, digits, - and _.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError(f"{line}: expected a YouTube identifier. Received: {text!r}")
    return text


def seconds(line: Line, start: str, end: str) -> tuple[float | None, float | None]:
    """Start and end of a part in seconds; None where the text is empty.

    Raises:
        ValueError: unless 0 <= start < end.
    """
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


def unique(entries: Iterable[tuple[Line, Entry]]) -> Iterator[Entry]:
    """The entries.

    Raises:
        ValueError: at the second one of a name.
    """
    seen = set()
    for line, entry in entries:
        if entry.name in seen:
            raise ValueError(f"{line}: {entry.name!r} is listed twice")
        seen.add(entry.name)
        yield entry
