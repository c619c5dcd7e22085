"""Videos behind http and https addresses, in a temporary file while they are used."""

import contextlib
import http.client
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO, Any

from keras_mtnet.video.source import VideoError
from keras_mtnet.video.suffixes import VIDEO_SUFFIXES

LIMIT = 2**30  # bytes of one video
_TIMEOUT = 30  # seconds without a byte


@contextlib.contextmanager
def local_video(source: Any) -> Iterator[Any]:
    """Yields a source as it is, or the path of a temporary file with what an address holds.

    Raises:
        VideoError: if an http or https address cannot be read, or holds more than 1 GB.

    Example:

    >>> with local_video("clip.mp4") as source:
    ...     source
    'clip.mp4'
    """
    text = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    if not text.lower().startswith(("http://", "https://")):
        yield source
        return
    suffix = os.path.splitext(re.sub("[?#].*", "", text))[1].lower()
    suffix = suffix if suffix in VIDEO_SUFFIXES else ""
    with tempfile.TemporaryDirectory(prefix="keras_mtnet_") as folder:
        path = os.path.join(folder, f"video{suffix}")
        with open(path, "wb") as file:
            _download(text, file)
        yield path


def _download(address: str, file: IO[bytes]) -> None:
    try:
        with _opener().open(address, timeout=_TIMEOUT) as response:
            announced = int(response.headers.get("Content-Length") or 0)
            _check_size(address, announced)
            size = 0
            while block := response.read(2**16):
                size += len(block)
                _check_size(address, size)
                file.write(block)
    except VideoError:
        raise
    except urllib.error.HTTPError as error:
        raise VideoError(address, f"the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise VideoError(address, f"it cannot be downloaded ({reason})") from error
    if size < announced:
        raise VideoError(address, f"the connection ended after {size} of {announced} bytes")


def _opener() -> urllib.request.OpenerDirector:
    """Knows http and https alone, so that no redirection leads to a local file."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _check_size(address: str, size: int) -> None:
    if size > LIMIT:
        reason = f"more than {LIMIT / 2**20:g} MB; download it yourself and give its path"
        raise VideoError(address, reason)
