"""Scores per video in a CSV file, written as they come, so that a stopped test can go on."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_mtnet.files import write_text

_MARK = "# keras-mtnet scores "
_COLUMNS = ("video", "label", "note")


class Row(NamedTuple):
    """What a test found of one video: its scores, or in `note` why it has none.

    A video that was scored in part has both.
    """

    scores: np.ndarray | None  # float32 (classes,)
    note: str


class ScoreFile:
    """A file of a test's scores, of which a new test of the same settings takes over all rows.

    The first line is `# keras-mtnet scores` and the settings as JSON; then comes CSV with the
    columns `video,label,note` and one per class. A last line that was cut off is dropped.

    Args:
        path: a new file, or one that a test with the same settings has begun.
        settings: what the scores depend on, by names that messages use; JSON values.
        class_names: in label order.

    Attributes:
        rows: dict from the name of a video to what was found before.

    Raises:
        ValueError: if the file is no such one, or is of other settings, which are named.
            Nothing is written then.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/scores.csv"
    >>> with ScoreFile(path, {"num_clips": 10}, ["jump", "run"]) as file:
    ...     file.add("a.mp4", "run", Row(np.array([0.25, 0.75], "float32"), ""))
    >>> with ScoreFile(path, {"num_clips": 10}, ["jump", "run"]) as file:
    ...     file.rows["a.mp4"].scores.tolist()
    [0.25, 0.75]
    >>> ScoreFile(path, {"num_clips": 5}, ["jump", "run"])
    Traceback (most recent call last):
    ValueError: ...scores.csv holds scores of another test (num_clips was 10, now 5)...
    """

    def __init__(
        self, path: str | os.PathLike, settings: Mapping[str, Any], class_names: Sequence[str]
    ):
        self.path = os.fspath(path)
        self.rows: dict[str, Row] = {}
        self._settings = {**settings, "class_names": list(class_names)}
        if os.path.exists(self.path):
            self._read()
        else:
            head = _MARK + json.dumps(self._settings) + "\n" + _line([*_COLUMNS, *class_names])
            write_text(self.path, head)
        self._file = open(self.path, "a", encoding="utf-8", errors="backslashreplace", newline="")

    def __enter__(self) -> "ScoreFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, video: str, label: str, row: Row) -> None:
        """Appends a row and hands it to the operating system at once."""
        scores = () if row.scores is None else [f"{score:.9g}" for score in row.scores]
        self._file.write(_line([video, label, row.note, *scores]))
        self._file.flush()

    def _read(self) -> None:
        with open(self.path, "rb") as file:
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.decode("utf-8", errors="replace").splitlines(keepends=True)
        self._check(lines[0] if lines else "")
        # A field that is quoted may hold what `splitlines` takes for the end of a line.
        rows = csv.reader(io.StringIO("".join(lines[1:]), newline=""))
        next(rows, None)
        self.rows = dict(self._parse(rows))
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))

    def _check(self, first: str) -> None:
        try:
            if not first.startswith(_MARK):
                raise ValueError("no mark")
            found = dict(json.loads(first[len(_MARK) :]))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{self.path} is no file of scores; it was not touched. Name a new file."
            ) from error
        own = json.loads(json.dumps(self._settings))
        names = [name for name in {**found, **own} if found.get(name) != own.get(name)]
        if names:
            differences = [_difference(name, found.get(name), own.get(name)) for name in names]
            raise ValueError(
                f"{self.path} holds scores of another test ({'; '.join(differences)}); it was not "
                "touched. Name a new file, or repeat that test's settings."
            )

    def _parse(self, rows: Iterator[list[str]]) -> Iterator[tuple[str, Row]]:
        classes = len(self._settings["class_names"])
        for number, fields in enumerate(rows, 3):
            try:
                video, _, note, *texts = fields
                scores = np.array([float(text) for text in texts], "float32") if texts else None
                if scores is not None and scores.shape != (classes,):
                    raise ValueError(f"{len(scores)} scores")
            except ValueError as error:
                raise ValueError(
                    f"{self.path}, row {number}: expected a video, its label, a note and "
                    f"{classes} scores. Received: {','.join(fields):.80}"
                ) from error
            yield video, Row(scores, note)


def _line(fields: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


def _difference(name: str, before: Any, now: Any) -> str:
    """What differs, with short values; lists and digests say too little to be shown."""
    shown = [json.dumps(value) for value in (before, now)]
    if max(map(len, shown)) > 60 or name in ("weights", "videos"):
        return f"other {name}"
    return f"{name} was {shown[0]}, now {shown[1]}"
