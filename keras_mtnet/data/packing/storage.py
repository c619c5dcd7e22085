"""Files of a packed set, on this machine or behind an address (s3://, gs://, https://).

What cannot be read is an OSError, wherever it is.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

# Far away a request costs as much as this many bytes, so that what lies closer together is read in
# one go. On a disk nothing but the frames asked for is read.
FAR_GAP = 1 << 20


def is_remote(path: str) -> bool:
    """Whether a path is an address."""
    return "://" in str(path)


def join(root: str, name: str) -> str:
    """The path of a file of a set."""
    return f"{str(root).rstrip('/')}/{name}" if is_remote(root) else os.path.join(root, name)


def read_text(path: str) -> str:
    """A whole UTF-8 file."""
    if not is_remote(path):
        with open(path, encoding="utf-8") as file:
            return file.read()
    with _as_os_error(path):
        files, inner = _file_system(path)
        return bytes(files.cat_file(inner)).decode("utf-8")


def list_names(root: str) -> list[str]:
    """Names of the files of a folder; none where there is no such folder."""
    if not is_remote(root):
        return sorted(os.listdir(root)) if os.path.isdir(root) else []
    with contextlib.suppress(FileNotFoundError), _as_os_error(root):
        files, inner = _file_system(root)
        return sorted(name.rstrip("/").rpartition("/")[2] for name in files.ls(inner, detail=False))
    return []


@contextlib.contextmanager
def open_ranges(path: str) -> Iterator[Callable[[int, int], bytes]]:
    """Yields a function of offset and size that reads so many bytes, or fewer at the end."""
    if not is_remote(path):
        with open(path, "rb", buffering=0) as file:
            yield lambda offset, size: os.pread(file.fileno(), size, offset)
        return

    def read(offset: int, size: int) -> bytes:
        with _as_os_error(path):
            files, inner = _file_system(path)
            data = bytes(files.cat_file(inner, start=offset, end=offset + size))
        if len(data) > size:
            raise OSError(
                f"{path}: the server cannot send parts of a file (HTTP ranges). "
                "Use another one, or copy the folder to a disk"
            )
        return data

    yield read


@contextlib.contextmanager
def _as_os_error(path: str) -> Iterator[None]:
    """The errors of all file systems, each of which has its own, as those of this machine's."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file") from error
    except Exception as error:
        raise OSError(f"{path}: {error or type(error).__name__}") from error


def _file_system(path: str) -> tuple[Any, str]:
    """Something that reads where an address leads, and the address as it wants it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        return _TensorFlowFiles(), path
    return url_to_fs(path)


class _TensorFlowFiles:
    """TensorFlow's file systems, those of tensorflow-io among them, in the way of fsspec."""

    def __init__(self) -> None:
        try:
            import tensorflow_io  # noqa: F401  it makes s3:// and others known
        except ImportError as error:
            message = 'reading from an address needs pip install "keras-mtnet[remote]"'
            raise ImportError(message) from error

    def ls(self, path: str, detail: bool) -> list[str]:
        from tensorflow.io import gfile

        return gfile.listdir(path) if gfile.isdir(path) else []

    def cat_file(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        from tensorflow.io import gfile

        if not gfile.exists(path):
            raise FileNotFoundError(path)
        with gfile.GFile(path, "rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)
