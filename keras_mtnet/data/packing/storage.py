"""Files of a packed set, on this machine or behind s3://, http:// and the like."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

# Far away a request costs as much as this many bytes, so that what lies closer together is read in
# one go. On a disk nothing but the frames asked for is read.
FAR_GAP = 1 << 20
_BLOCK = 1 << 22


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
    with contextlib.suppress(OSError), _as_os_error(root):
        return sorted(name.rstrip("/") for name in _gfile(root).listdir(root))
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
        return
    with _as_os_error(path), _gfile(path).GFile(path, "rb") as file:
        yield file


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


def _gfile(path: str) -> Any:
    """TensorFlow's files, with the file systems of tensorflow-io where it is installed."""
    import tensorflow as tf

    with contextlib.suppress(ImportError):
        import tensorflow_io  # noqa: F401
    return tf.io.gfile
