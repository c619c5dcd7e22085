"""Files of a packed set, on this machine or behind s3://, http:// and the like."""

import contextlib
import ctypes
import functools
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

# Far away a request costs as much as this many bytes, so that what lies closer together is read in
# one go. On a disk nothing but the frames asked for is read.
FAR_GAP = 1 << 20
_BLOCK = 1 << 22
_TIMEOUT = 60.0  # seconds without an answer over http://


def is_remote(path: str) -> bool:
    """Whether a path is a URL."""
    return "://" in str(path)


def join(root: str, name: str) -> str:
    """The path of a file of a set."""
    return f"{str(root).rstrip('/')}/{name}" if is_remote(root) else os.path.join(root, name)


def read_text(path: str) -> str:
    """A whole UTF-8 file.

    Raises:
        OSError: if it cannot be read.
    """
    with _open(path) as file:
        return bytes(file.read()).decode("utf-8")


def list_names(root: str) -> list[str]:
    """Names of the files of a folder; none where folders cannot be listed, as over http://."""
    if not is_remote(root):
        return sorted(os.listdir(root)) if os.path.isdir(root) else []
    if _is_web(root):
        return []
    with contextlib.suppress(OSError), _as_os_error(root):
        return sorted(name.rstrip("/") for name in _gfile().listdir(root))
    return []


@contextlib.contextmanager
def open_ranges(path: str) -> Iterator[Callable[[int, int], bytes]]:
    """Yields a function of offset and size that reads so many bytes, or fewer at the end.

    Raises:
        OSError: if the file cannot be read.
    """
    with _open(path) as file:

        def read(offset: int, size: int) -> bytes:
            with _as_os_error(path):
                file.seek(offset)
                return file.read(size)

        yield read


def blocks(read: Callable[[int, int], bytes], offset: int, size: int) -> Iterator[bytes]:
    """A long range in pieces that are no burden to memory."""
    for start in range(offset, offset + size, _BLOCK):
        yield read(start, min(_BLOCK, offset + size - start))


@contextlib.contextmanager
def _open(path: str) -> Iterator[Any]:
    if not is_remote(path):
        with open(path, "rb", buffering=0) as file:
            yield file
    elif _is_web(path):
        yield _WebFile(path)
    else:
        with _as_os_error(path), _gfile().GFile(path, "rb") as file:
            yield file


def _is_web(path: str) -> bool:
    return path.startswith(("http://", "https://"))


class _WebFile:
    """A file behind http:// or https://.

    With Python's own means: those of tensorflow-io leave a connection open after every read, until
    the process may open no more.
    """

    def __init__(self, url: str):
        self._url, self._offset = url, 0

    def seek(self, offset: int) -> None:
        self._offset = offset

    def read(self, size: int | None = None) -> bytes:
        """So many bytes from where it is, or fewer at the end; by default the whole file."""
        request = urllib.request.Request(self._url)
        if size is not None:
            request.add_header("Range", f"bytes={self._offset}-{self._offset + size - 1}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                if size is not None and answer.status != 206:
                    raise OSError(
                        f"{self._url}: the server cannot send parts of a file (HTTP ranges). "
                        "Take another one, or copy the folder to a disk"
                    )
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 416:  # beyond the end
                return b""
            raise OSError(f"{self._url}: {error}") from error
        except (urllib.error.URLError, http.client.HTTPException) as error:
            raise OSError(f"{self._url}: {error}") from error


@contextlib.contextmanager
def _as_os_error(path: str) -> Iterator[None]:
    """TensorFlow's errors as those of this machine's files."""
    if not is_remote(path):
        yield
        return
    import tensorflow as tf

    try:
        yield
    except tf.errors.UnimplementedError as error:
        raise OSError(
            f"{path}: this TensorFlow cannot read {path.split('://')[0]}://. It takes TensorFlow "
            '2.16 and pip install "keras-mtnet[tfio]", or a copy of the folder on a disk'
        ) from error
    except tf.errors.OpError as error:
        raise OSError(f"{path}: {error.message}") from error


def _gfile() -> Any:
    """TensorFlow's files, with the file systems of tensorflow-io where it is installed."""
    import tensorflow as tf

    _load_tensorflow_io()
    return tf.io.gfile


@functools.cache
def _load_tensorflow_io() -> None:
    """Makes s3:// and others known, where tensorflow-io is installed.

    Version 0.37.1 aborts the processes that use it while they end, after all is done (issue 2039
    of tensorflow/io). On Linux they end here before it can, with the status that they have.
    """
    with contextlib.suppress(ImportError):
        import tensorflow_io  # noqa: F401

        libc = ctypes.CDLL(None)
        if hasattr(libc, "on_exit"):
            libc.on_exit(libc._exit, None)
