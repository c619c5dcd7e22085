"""Video files: opening them, and saying why one cannot be opened."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

import av

Source = str | os.PathLike | bytes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Containers that tell size and codec of their streams up front. Of others FFmpeg has to decode a
# while to find out, and where there is sound, also in these: up to 40 ms, longer than many a clip.
TELL_ALL = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
_PLAYLISTS = {"concat", "dash", "hls", "sdp", "webm_dash_manifest"}
NO_FRAME = "it holds no frame"
_TEXT = "a text file, not a video"
_STILL_BRANDS = {"avif", "heic", "heix", "mif1"}
_OPTIONS = {
    "protocol_whitelist": "file",  # a playlist must not reach into the network
    "max_pixels": str(2**26),  # 8192 x 8192; a flipped bit may ask for more than there is memory
}


class VideoError(ValueError):
    """A video that cannot be read.

    Attributes:
        name: the file.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, name: str, reason: str):
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class EndsEarly(VideoError):
    """A frame was asked for that lies behind the last readable one.

    Attributes:
        frames: how many frames can be read.
    """

    def __init__(self, name: str, reason: str, frames: int):
        super().__init__(name, reason)
        self.args = (name, reason, frames)
        self.frames = frames


def source_name(source: Source) -> str:
    """What to call a source in messages."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return os.fspath(source)


def is_folder(source: Source) -> bool:
    """Whether a source is a folder of pictures."""
    return not isinstance(source, bytes) and os.path.isdir(source)


def pictures(folder: str | os.PathLike) -> list[str]:
    """Paths of the pictures in a folder, which are its frames in the order of their names."""
    names = sorted(n for n in os.listdir(folder) if n.lower().endswith(IMAGE_SUFFIXES))
    return [os.path.join(folder, name) for name in names]


def open_picture(path: str) -> av.VideoFrame:
    """Decodes one picture.

    Raises:
        VideoError: if that fails.
    """
    try:
        with _open(path) as container:
            return next(container.decode(video=0))
    except (av.FFmpegError, OSError, IndexError, StopIteration) as error:
        raise VideoError(path, _explain(path, error)) from error


@contextmanager
def open_video(
    source: Source, quick: bool = False
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens a video, ready to decode on one thread, and closes it.

    Clips are decoded side by side: threads inside of a decoder would only get in their way.

    Args:
        source: a path or the bytes of a file.
        quick: do not look into the streams beforehand where the container tells enough. The number
            of frames that a decoder has to put in order may then be unknown, so that it loses
            some: check the times of what it gives.

    Yields:
        The container and its first moving pictures.

    Raises:
        VideoError: if there is nothing to decode.
    """
    name = source_name(source)
    if not isinstance(source, bytes) and not os.path.isfile(source):
        raise VideoError(name, "no such file")
    try:
        container = _open(source, {"analyzeduration": "1"} if quick else {})
        if quick and container.format.name not in TELL_ALL:
            container.close()
            container = _open(source)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(name, _explain(source, error)) from error
    with container:
        stream = _pick_stream(container, name)
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def _open(source: Source, options: dict[str, str] | None = None) -> av.container.InputContainer:
    # "file:" keeps FFmpeg from taking a name with a colon for a protocol.
    file = io.BytesIO(source) if isinstance(source, bytes) else f"file:{os.fspath(source)}"
    return av.open(file, options={**_OPTIONS, **(options or {})}, metadata_errors="replace")


def _pick_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """The first moving pictures of a file; a song's cover is not one."""
    format_name, cover = container.format.name, av.stream.Disposition.attached_pic
    if format_name in _PLAYLISTS:
        raise VideoError(name, _TEXT)
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise VideoError(name, "no video stream in the file")
    # Repeating the one picture would look like a video in which nothing moves. Under the name of
    # a video it is most likely the thumbnail of one whose download went wrong.
    piped = format_name.endswith("_pipe") and format_name != "gif_pipe"
    if piped or format_name == "image2" or _brand(container) in _STILL_BRANDS:
        raise VideoError(name, "a still image, not a video")
    if streams[0].codec_context is None:
        raise VideoError(name, "no decoder for its video stream")
    return streams[0]


def _brand(container: av.container.InputContainer) -> str:
    return container.metadata.get("major_brand", "").strip()


def _explain(source: Source, error: Exception) -> str:
    """Why FFmpeg could not open a file, as far as its first bytes tell."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
            head = file.read(512)
    except OSError as unreadable:
        return str(unreadable.strerror)
    if not head:
        return "the file is empty"
    if isinstance(error, av.error.EOFError):
        return NO_FRAME
    if head[4:8] == b"ftyp":
        return "an mp4 file without its index: cut off, or never finished"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return _TEXT
    return f"not a readable video ({getattr(error, 'strerror', None) or error})"
