"""Files and folders that are either whole or not there: written beside, then renamed."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def write_beside(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a new path beside `path` to write to, and renames it when the block ends well.

    Whoever reads `path`, even after a kill or on a full disk, finds the old file or the new one,
    never a part. A folder may be written too, where none stands yet. The new path has the same
    ending.
    """
    path = Path(path)
    beside = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        # Only after a failure is anything left here.
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a UTF-8 text file whole. What UTF-8 cannot say, in names of files, is escaped."""
    with write_beside(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_outside(output: str | os.PathLike, root: str | os.PathLike) -> None:
    """Raises ValueError if an output lies below the videos, where it would be taken for a class."""
    folder, videos = Path(output).resolve(), Path(root).resolve()
    if videos in (folder, *folder.parents):
        raise ValueError(
            "output must lie outside root, or it would be taken for videos. "
            f"Received: output={os.fspath(output)}, root={os.fspath(root)}"
        )


def check_new_folder(path: str | os.PathLike, what: str) -> Path:
    """Checks that a folder for `what` ("a run") can be made or is empty, without touching the disk.

    Raises:
        FileExistsError: if something is there already.
        PermissionError: if it cannot be written.
    """
    path = Path(path)
    if path.is_dir() and any(path.iterdir()):
        raise FileExistsError(
            f"The output folder {path} is not empty; nothing in it was touched. "
            f"Name a new or an empty folder for {what}."
        )
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"The output {path} is a file. Name a new folder for {what}.")
    ground = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not ground.is_dir() or not os.access(ground, os.W_OK | os.X_OK):
        raise PermissionError(
            f"The output folder {path} cannot be made: {ground} is not a folder that you may "
            "write to."
        )
    return path
