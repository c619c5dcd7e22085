"""Opening video files with FFmpeg, and saying why one cannot be opened."""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
from av.stream import Disposition

from keras_mtnet.video.source import NO_FRAME, VideoError

# Containers that tell size and codec of their streams up front. Of others FFmpeg has to decode a
# while to find out, and where there is sound, also in these: up to 40 ms, longer than many a clip.
TELL_ALL = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
_PLAYLISTS = {"concat", "dash", "hls", "sdp", "webm_dash_manifest"}
_STILL = "a still image, not a video"
_TEXT = "a text file, not a video"
_STILL_BRANDS = {"avif", "heic", "heix", "mif1"}
_OPTIONS = {
    "protocol_whitelist": "file",  # a playlist must not reach into the network
    "max_pixels": str(2**26),  # 8192 x 8192; a flipped bit may ask for more than there is memory
}
# Titles need not be UTF-8. PyAV 19 always reads them, older versions when told to.
_METADATA: dict[str, Any] = (
    {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
)
_FILE_TYPES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def source_name(source: str | os.PathLike | bytes) -> str:
    """What to call a file, or the bytes of one, in messages."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else os.fspath(source)


@contextmanager
def open_container(
    source: str | os.PathLike | bytes, quick: bool = False, name: str | None = None
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens a path or bytes: yields the container, and the stream that FFmpeg's command chooses.

    Clips are decoded side by side, so the stream decodes on one thread: more inside of a decoder
    would only get in their way. With `quick`, streams are not looked into beforehand where the
    container tells enough; the number of frames that a decoder has to put in order may then be
    unknown, so that it loses some: check the times of what it returns.

    Raises:
        VideoError: if there is nothing to decode.
    """
    name = source_name(source) if name is None else name
    if not isinstance(source, bytes):
        _check_regular(source, name)
    try:
        container = _open(source, {"analyzeduration": "1"} if quick else {})
        if quick and container.format.name not in TELL_ALL:
            container.close()
            container = _open(source)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(name, _explain(source, error)) from error
    with container:
        stream = _pick_stream(container, source, name)
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def decode(packet: av.Packet) -> list[av.VideoFrame]:
    """The frames that a decoder returns for a packet of a video."""
    # No decoder takes an empty packet, which stands for a repeated frame, unless it is the last.
    frames: Any = packet.decode() if packet.size or is_last(packet) else []
    return frames


def is_last(packet: av.Packet) -> bool:
    """Whether this is the empty packet that asks a decoder for the frames it holds back."""
    return not packet.size and packet.dts is None and packet.pts is None


def open_picture(path: str) -> av.VideoFrame:
    """Decodes one picture; VideoError if that fails."""
    _check_regular(path, path)
    try:
        with _open(path) as container:
            return next(container.decode(video=0))
    except (av.FFmpegError, OSError, IndexError, StopIteration) as error:
        raise VideoError(path, _explain(path, error)) from error


def _check_regular(path: str | os.PathLike, name: str) -> None:
    """Raises VideoError for what is no file: opening a pipe would wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # of ValueError where the name holds a zero byte
        link = isinstance(error, OSError) and os.path.islink(path)
        reason = "a link that leads nowhere" if link else "no such file"
        raise VideoError(name, reason) from error
    if not stat.S_ISREG(mode):
        raise VideoError(name, f"{_FILE_TYPES.get(stat.S_IFMT(mode), 'something')}, not a file")


def _open(
    source: str | os.PathLike | bytes, options: dict[str, str] | None = None
) -> av.container.InputContainer:
    # "file:" keeps FFmpeg from taking a name with a colon for a protocol.
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else f"file:{os.fspath(source)}"
    return av.open(file, "r", options={**_OPTIONS, **(options or {})}, **_METADATA)


def _pick_stream(
    container: av.container.InputContainer, source: str | os.PathLike | bytes, name: str
) -> av.VideoStream:
    """The stream that FFmpeg's command chooses; a song's cover is none."""
    format_name = container.format.name
    if format_name in _PLAYLISTS:
        raise VideoError(name, _TEXT)
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError(name, "no video stream in the file")
    # Repeating the one picture would look like a video in which nothing moves. Under the name of
    # a video it is most likely the thumbnail of one whose download went wrong.
    piped = format_name.endswith("_pipe") and format_name != "gif_pipe"
    if piped or format_name == "image2" or _brand(container) in _STILL_BRANDS:
        raise VideoError(name, _animated_webp(_head(source)) or _STILL)
    stream = max(streams, key=_score)
    if stream.codec_context is None:
        raise VideoError(name, "no decoder for its video stream")
    return stream


def _score(stream: av.VideoStream) -> int:
    """Of several streams FFmpeg's command takes the largest, a default one counting for more."""
    context = stream.codec_context
    pixels = context.width * context.height if context is not None else 0
    return pixels + 5_000_000 * bool(stream.disposition & Disposition.default)


def _brand(container: av.container.InputContainer) -> str:
    return container.metadata.get("major_brand", "").strip()


def _head(source: str | os.PathLike | bytes) -> bytes:
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        return file.read(512)


def _animated_webp(head: bytes) -> str | None:
    animated = head[:4] == b"RIFF" and head[8:12] == b"WEBP" and b"ANIM" in head
    return "an animated WebP, which FFmpeg does not decode" if animated else None


def _explain(source: str | os.PathLike | bytes, error: Exception) -> str:
    """Why FFmpeg could not open a file, as far as its first bytes tell."""
    try:
        head = _head(source)
    except OSError as unreadable:
        return str(unreadable.strerror)
    if not head:
        return "the file is empty"
    if animated := _animated_webp(head):
        return animated
    if isinstance(error, av.error.EOFError):
        return NO_FRAME
    if head[4:8] == b"ftyp":
        return "an mp4 file without its index: cut off, or never finished"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return _TEXT
    return f"not a readable video ({getattr(error, 'strerror', None) or error})"
