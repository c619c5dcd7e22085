"""Files that cannot be read: by name and reason, whoever asks."""

import os
import pickle
import socket
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from numbered_videos import encode, numbered, numbers
from PIL import Image

from keras_mtnet.data import VideoError, count_frames, read_frames
from keras_mtnet.video import EndsEarly, check_videos, open_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("video") / "a.mp4", numbered(20), "libx264")


def reason(path):
    """The one reason that all ways of reading give, for the file and for its bytes."""
    reasons = set()
    sources = [str(path), path]
    if path.is_file():
        sources.append(path.read_bytes())
    for source in sources:
        for attempt in (
            count_frames,
            lambda s: open_video(s).frame_count,
            lambda s: read_frames(s, [0]),
        ):
            with pytest.raises(VideoError) as error:
                attempt(source)
            name = f"<{len(source)} bytes>" if isinstance(source, bytes) else str(path)
            assert error.value.name == name and name in str(error.value)
            reasons.add(error.value.reason)
    assert len(reasons) == 1, reasons
    return reasons.pop()


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"version https://example.org\n" * 9, "a text file, not a video"),
        ("page.avi", b"<html>Video unavailable</html>" * 20, "a text file, not a video"),
        ("noise.avi", np.random.default_rng(0).bytes(5000), "not a readable video"),
        ("zeros.mkv", bytes(5000), "not a readable video"),
    ],
)
def test_no_videos_at_all(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert reason(tmp_path / name).startswith(expected)


def test_cut_off_mp4(video, tmp_path):
    with open(video, "rb") as file:
        data = file.read()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    assert "cut off" in reason(tmp_path / "cut.mp4")


def test_sound_only(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
        sound.rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert reason(tmp_path / "sound.mp4") == "no video stream in the file"


@pytest.mark.parametrize(
    "codec, suffix, pix_fmt", [("png", "png", "rgb24"), ("mjpeg", "jpg", "yuvj420p")]
)
def test_still_image_with_the_name_of_a_video(tmp_path, codec, suffix, pix_fmt):
    path = tmp_path / f"still.{suffix}"
    encode(path, numbered(1), codec, pix_fmt, update="1")
    assert reason(path.rename(tmp_path / "still.mp4")) == "a still image, not a video"


def test_picture_in_the_format_of_a_video(tmp_path):
    encode(tmp_path / "still.avif", numbered(1), "libsvtav1", preset="13")
    path = (tmp_path / "still.avif").rename(tmp_path / "still.mp4")
    assert reason(path) == "a still image, not a video"


def test_video_without_frames(tmp_path, video):
    for name in ("none.mkv", "none.avi"):
        with av.open(video) as old, av.open(str(tmp_path / name), "w") as new:
            new.add_stream_from_template(old.streams.video[0])
            new.start_encoding()
        assert reason(tmp_path / name) == "it holds no frame"


def test_video_of_one_frame_is_a_video(tmp_path):
    path = encode(tmp_path / "one.mp4", numbered(1), "libx264")
    assert count_frames(path) == 1 and read_frames(path, [0, 0]).shape == (2, 64, 96, 3)


def test_playlists_open_nothing(tmp_path, video):
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile a.mkv\n")
    encode(tmp_path / "a.mkv", numbered(3), "libx264")
    assert reason(tmp_path / "list.mp4") == "a text file, not a video"


def test_missing_file_and_empty_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    assert reason(tmp_path / "missing.mp4") == "no such file"
    assert reason(tmp_path / "folder").startswith("it holds no frame: no file ends in")


def test_what_is_no_file_is_never_opened(tmp_path):
    """Reading a pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.mp4"))
        expected = {
            "pipe.mp4": "a pipe, not a file",
            "link.mp4": "a link that leads nowhere",
            "loop.mp4": "a link that leads nowhere",
            "socket.mp4": "a socket, not a file",
        }
        for name, why in expected.items():
            assert reason(tmp_path / name) == why
        assert reason(Path(os.devnull)) == "a device, not a file"
        checks = {os.path.basename(c.path): c.error for c in check_videos(str(tmp_path))}
        assert checks == expected


def test_animated_webp_is_named(tmp_path):
    first, *others = [Image.fromarray(frame) for frame in numbered(6)]
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=40)
    if int(av.__version__.split(".")[0]) < 19:  # its FFmpeg decodes them
        assert reason(tmp_path / "a.webp") == "an animated WebP, which FFmpeg does not decode"
    else:
        assert count_frames(tmp_path / "a.webp") == 6
    for name in ("a.gif", "a.png", "a.apng"):
        first.save(
            tmp_path / name,
            "png" if "png" in name else None,
            save_all=True,
            append_images=others,
            duration=40,
        )
        assert numbers(read_frames(tmp_path / name, range(6))) == list(range(6))
    first.save(tmp_path / "b.webp")
    assert reason(tmp_path / "b.webp") == "a still image, not a video"


def two_streams(path, sizes, default):
    """Two streams, of numbers 1 and 2, of these heights; one of them is the default one."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in sizes]
        for number, (stream, height) in enumerate(zip(streams, sizes, strict=True)):
            stream.height, stream.width, stream.pix_fmt = height, 2 * height, "yuv420p"
            stream.disposition = Disposition.default if number == default else Disposition(0)
        for number, stream in enumerate(streams):
            shades = np.full((stream.height, stream.width, 3), 60 + 120 * number, "uint8")
            frame = av.VideoFrame.from_ndarray(shades, format="rgb24")
            container.mux([*stream.encode(frame), *stream.encode()])
    return path


@pytest.mark.parametrize(
    "sizes, default, chosen",
    [
        ((64, 64), 0, 0),
        ((64, 64), 1, 1),
        ((64, 128), None, 1),
        ((64, 128), 0, 0),
        ((128, 64), None, 0),
        ((64, 1600), 0, 1),  # so large that it comes before the default one
    ],
)
def test_the_stream_is_the_one_that_ffmpeg_chooses(tmp_path, sizes, default, chosen):
    """By pixels, of which a default stream has five million more (ffmpeg_mux_init.c)."""
    path = two_streams(tmp_path / "two.mkv", sizes, default)
    for source in (path, path.read_bytes()):
        frame = read_frames(source, [0])[0]
        assert len(frame) == sizes[chosen] and abs(frame.mean() - (60 + 120 * chosen)) < 3
    assert check_videos(str(tmp_path))[0].height == sizes[chosen]


def test_names_that_look_like_protocols(tmp_path, monkeypatch):
    encode(tmp_path / "a.mp4", numbered(3), "libx264")
    (tmp_path / "a.mp4").rename(tmp_path / "http:a.mp4")
    monkeypatch.chdir(tmp_path)
    assert count_frames("http:a.mp4") == 3


def test_a_name_in_another_suffix_is_no_hindrance(tmp_path, video):
    with open(video, "rb") as file:
        (tmp_path / "renamed.avi").write_bytes(file.read())
    assert count_frames(tmp_path / "renamed.avi") == 20


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(EndsEarly("a.mp4", "it ends")))
    assert (str(error), error.name) == ("a.mp4: it ends", "a.mp4")
