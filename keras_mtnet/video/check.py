"""Reads videos to their end, and tells what is in them and what is wrong with them."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import av

from keras_mtnet.checks import check_counts, given
from keras_mtnet.video.container import decode, open_container
from keras_mtnet.video.frame_folder import FrameFolder, is_picture
from keras_mtnet.video.frame_index import FrameIndex
from keras_mtnet.video.indexing import decoded_ticks, usual_rate
from keras_mtnet.video.rgb import Converter
from keras_mtnet.video.source import NO_FRAME, VideoError
from keras_mtnet.video.suffixes import VIDEO_SUFFIXES, is_leftover

T = TypeVar("T")
# A file was cut off if it holds less than this share of the time that it announces, and if more
# than so many seconds of it are missing.
_WHOLE, _TOLERANCE = 0.9, 0.2


@dataclasses.dataclass(frozen=True)
class VideoCheck:
    """What one video holds.

    Attributes:
        path: the file, or folder of pictures.
        frames: how many frames can be decoded.
        fps: frames per second on average, None for pictures.
        width: of the upright frames, in pixels; None without frames.
        height: likewise.
        codec: how they are encoded, None where that cannot be told.
        error: why the video is damaged or cannot be read, None for a sound one.
    """

    path: str
    frames: int = 0
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, str | int | float | None]:
        return dataclasses.asdict(self)


def check_videos(
    root: str | os.PathLike, workers: int | None = None, progress: bool = False
) -> list[VideoCheck]:
    """Checks all videos below a folder.

    Args:
        root: the folder. Videos are the files with the suffix of one, and the folders that hold
            pictures and no such file, also behind links. Hidden ones are passed over.
        workers: files to read at the same time; as many as there are CPUs when None.
        progress: show a bar on stderr.

    Returns:
        A check of each, in the order of their paths.

    Raises:
        ValueError: if there is no video, or `workers` is below 1.
        FileNotFoundError: if there is no such folder.
    """
    root = os.fspath(root)
    if not os.path.isdir(root):
        raise FileNotFoundError(f"no such folder: {root!r}")
    check_counts(**given(workers=workers))
    paths = find_videos(root)
    # Decoders give up Python's lock, so threads will do.
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        checks = pool.map(check_video, paths)
        return list(show_progress(checks, len(paths), "Checking") if progress else checks)


def table(checks: list[VideoCheck]) -> str:
    """A line for each video, and one that counts them."""
    lines = [f"{'frames':>8}{'fps':>9}{'size':>12}  {'codec':12}path"]
    for check in checks:
        size = f"{check.width}x{check.height}" if check.width else "-"
        fps = f"{check.fps:.3f}" if check.fps else "-"
        line = f"{check.frames:8d}{fps:>9}{size:>12}  {check.codec or '-':12}{check.path}"
        lines.append(f"{line}: {check.error}" if check.error else line)
    faults = sum(check.error is not None for check in checks)
    lines.append(f"{len(checks)} videos, {faults} damaged or unreadable")
    return "\n".join(lines)


def check_video(path: str | os.PathLike) -> VideoCheck:
    """Reads one video, a file or a folder of pictures, to its end or to where it breaks off.

    >>> check_video("nowhere.mp4").error
    'no such file'
    """
    path = os.fspath(path)
    try:
        return _check_pictures(path) if os.path.isdir(path) else _check_file(path)
    except VideoError as error:
        return VideoCheck(path, error=error.reason)


def find_videos(root: str | os.PathLike) -> list[str]:
    """Paths of the videos below a folder, sorted: files, and folders of pictures.

    Raises:
        ValueError: if there is none.
    """
    root = os.fspath(root)
    paths = sorted(_find_videos(root))
    if not paths:
        raise ValueError(f"there is no video in {root!r} (suffixes: {' '.join(VIDEO_SUFFIXES)})")
    return paths


def _find_videos(root: str) -> Iterator[str]:
    """Paths of the videos below a folder, and of what cannot be looked into."""
    closed: list[str] = []
    seen: set[tuple[int, int]] = set()  # folders, which links may lead to again
    walk = os.walk(root, onerror=lambda error: closed.append(error.filename), followlinks=True)
    for folder, subfolders, names in walk:
        found = os.stat(folder)
        if (found.st_dev, found.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not is_leftover(name))
        names = [name for name in names if not is_leftover(name)]
        videos = [name for name in names if name.lower().endswith(VIDEO_SUFFIXES)]
        yield from (os.path.join(folder, name) for name in videos)
        if not videos and any(is_picture(name) for name in names):
            yield folder
    yield from closed


def show_progress(items: Iterable[T], count: int, what: str) -> Iterator[T]:
    """Yields items and shows a bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, count, console=Console(stderr=True))


def _check_pictures(path: str) -> VideoCheck:
    video = FrameFolder(path)
    count = video.exact_count()
    height, width = video.read([0]).shape[1:3]
    return VideoCheck(path, count, None, width, height, "pictures", video.index.damage)


def _check_file(path: str) -> VideoCheck:
    first: av.VideoFrame | None = None
    reason = None
    ticks: list[int | None] = []
    spoilt: list[int] = []
    # When the last packet ends: in seconds on the clock of the file, because some streams begin
    # late and count that as a part of their length; of all, because sound may go on for longer.
    held = 0.0
    with open_container(path) as (container, stream):
        codec = stream.codec_context.codec.canonical_name
        announced = _announced(container, stream)
        try:
            for packet in container.demux():
                if packet.size and packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    held = max(held, float(end))
                for frame in decode(packet) if packet.stream.index == stream.index else ():
                    first = first or frame
                    if frame.is_corrupt:
                        spoilt.append(len(ticks))
                    ticks.append(frame.pts)
        except (av.FFmpegError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        if first is None:
            return VideoCheck(path, codec=codec, error=reason or NO_FRAME)
        index = FrameIndex(*decoded_ticks(ticks, stream))
        fps = index.fps or usual_rate(stream)
    height, width = Converter()(first).shape[:2]
    held = max(held, float(index.times[-1]) + 1 / fps)
    damage = None
    if reason:
        damage = f"it ends after {index.count} frames ({reason})"
    elif spoilt:
        damage = f"parts of {len(spoilt)} frames are missing, first of frame {spoilt[0]}"
    elif announced and held < min(_WHOLE * announced, announced - _TOLERANCE):
        damage = f"it ends after {held:.1f} of {announced:.1f} seconds"
    return VideoCheck(path, index.count, round(fps, 3), width, height, codec, damage)


def _announced(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """The length in seconds that a file announces for its video, or else for all of it."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration is not None else None
