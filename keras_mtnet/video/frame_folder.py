"""Frames that lie in a folder as pictures."""

import functools
import os
import re
from collections import defaultdict
from collections.abc import Generator, Sequence

import av
import numpy as np

from keras_mtnet.video.container import open_picture
from keras_mtnet.video.frame_index import FrameIndex
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.source import NO_FRAME, VideoError, VideoSource, WrongIndexError
from keras_mtnet.video.suffixes import IMAGE_SUFFIXES, is_leftover

_NUMBER = re.compile(r"([0-9]+)")
_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*\.[a-z0-9]+)")


class FrameFolder(VideoSource):
    """A folder of pictures, which are the frames in the order of the numbers in their names.

    Hidden files are passed over, and so is what is no picture by its suffix.

    Args:
        path: the folder.
        rate: frames per second of the pictures, which do not tell it themselves.
        name, start, end, fps, cache: as for `open_video`.

    Raises:
        VideoError: when read, if the folder holds no picture, or several series of them.

    Example:

    >>> import tempfile, numpy as np, keras_mtnet as mt
    >>> from PIL import Image
    >>> folder = tempfile.mkdtemp()
    >>> for number in range(12):
    ...     Image.new("RGB", (48, 32), (20 * number, 0, 0)).save(f"{folder}/frame{number}.png")
    >>> mt.video.FrameFolder(folder).read([9, 10, 11])[:, 0, 0, 0]
    array([180, 200, 220], dtype=uint8)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        start: float | None = None,
        end: float | None = None,
        fps: float | None = None,
        rate: float = 25.0,
        cache: ReadCache | None = None,
    ):
        super().__init__(os.fspath(path) if name is None else name, start, end, fps)
        self.path = os.fspath(path)
        self._rate = rate
        self._cache = ReadCache() if cache is None else cache
        self._known: FrameIndex | None = None

    @functools.cached_property
    def pictures(self) -> list[str]:
        """Paths of the pictures in the order of the frames."""
        found = os.stat(self.path) if os.path.isdir(self.path) else None
        key = os.path.abspath(self.path), found and found.st_mtime_ns
        pictures = self._cache.get(key)
        if pictures is None:
            pictures = list_pictures(self.path, self.name)
            self._cache.put(key, pictures, nbytes=100 * len(pictures))
        return pictures

    def _index_exactly(self) -> None:
        for number, path in enumerate(self.pictures):
            try:
                open_picture(path)
            except VideoError as error:
                if not number:
                    reason = f"no frame can be decoded ({error.reason})"
                    raise VideoError(self.name, reason) from error
                self._known = FrameIndex.even(number, self._rate, error.reason)
                return

    @property
    def index(self) -> FrameIndex:
        if self._known is None:
            self._known = FrameIndex.even(len(self.pictures), self._rate)
        return self._known

    def _correct(self, index: FrameIndex, error: WrongIndexError) -> None:
        if index.damage:
            super()._correct(index, error)
        self._index_exactly()

    def _decode(self, index: FrameIndex, wanted: np.ndarray) -> Generator[av.VideoFrame]:
        for number in wanted:
            try:
                yield open_picture(self.pictures[number])
            except VideoError as error:
                raise WrongIndexError(error.reason) from error


def list_pictures(folder: str | os.PathLike[str], name: str | None = None) -> list[str]:
    """Paths of the pictures in a folder, numbers in their names in the order of numbers.

    Raises:
        VideoError: if there is none, or names of several series, as `flow_x_#.jpg` and
            `flow_y_#.jpg`: they would follow each other in one video.
    """
    name = os.fspath(folder) if name is None else name
    try:
        names = [name for name in os.listdir(os.fspath(folder)) if is_picture(name)]
    except OSError as error:
        raise VideoError(name, str(error.strerror)) from error
    if not names:
        raise VideoError(name, f"{NO_FRAME}: no file ends in {' '.join(IMAGE_SUFFIXES)}")
    series = _several_series(names)
    if series:
        shown = ", ".join(f"{each} ({count})" for each, count in series[:4])
        more = ", ..." if len(series) > 4 else ""
        reason = f"several series of pictures in one folder: {shown}{more}; keep one of them"
        raise VideoError(name, reason)
    return [os.path.join(folder, picture) for picture in sorted(names, key=_natural)]


def _several_series(names: Sequence[str]) -> list[tuple[str, int]]:
    """Names of series with # for the number, and how many pictures each has; none if it is one.

    Numbers in a name may count together, as minutes and seconds do. Where the last one goes through
    the same values again and again, as in `cam1_0001.jpg` and `cam2_0001.jpg`, it counts alone.
    """
    series: dict[str, list[str]] = defaultdict(list)
    takes: dict[str, list[int]] = defaultdict(list)
    for name in map(str.lower, names):
        series[_NUMBER.sub("#", name)].append(name)
        if match := _LAST_NUMBER.fullmatch(name):
            takes[f"{match[1]}#{match[3]}"].append(int(match[2]))
    values = {tuple(sorted(numbers)) for numbers in takes.values()}
    if len(series) == 1 and len(values) == 1 and len(min(values)) > 1:
        return [(each, len(takes[each])) for each in sorted(takes)] if len(takes) > 1 else []
    several = 1 < len(series) < len(names)
    return [(each, len(series[each])) for each in sorted(series)] if several else []


def is_picture(name: str) -> bool:
    """Whether a file has the name of a picture."""
    return not is_leftover(name) and name.lower().endswith(IMAGE_SUFFIXES)


def _natural(name: str) -> tuple:
    """A key by which frame10 comes after frame9."""
    parts = _NUMBER.split(name.lower())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name
