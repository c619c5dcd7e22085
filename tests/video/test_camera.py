import itertools
import time

import pytest
from numbered_videos import numbered, numbers
from streams import free_port, sending

from keras_mtnet.video import VideoError
from keras_mtnet.video.camera import Camera

FRAMES = numbered(50)


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_the_newest_frames_of_a_stream(kind):
    """The last frames come, with their times, and in between none twice."""
    with sending(FRAMES, kind) as address:
        found = list(Camera(address, keep=4).newest())
    times = [moment for moment, _ in found]
    assert times == sorted(set(times)) and times[-1] == pytest.approx(49 / 25)
    for moment, frames in found:
        last = round(moment * 25)
        assert frames.shape == (4, 64, 96, 3)
        assert numbers(frames) == list(range(last - 3, last + 1))


def test_steps_rate_and_size():
    with sending(FRAMES) as address:
        boxes = [(0, 0, 64, 64), (0, 32, 64, 64)]
        camera = Camera(address, keep=3, fps=5, boxes=boxes, size=(64, 64))
        found = list(camera.newest(step=0.6))
    assert len(found) in (1, 2, 3)
    assert all(b - a > 0.6 for (a, _), (b, _) in itertools.pairwise(found))
    for moment, frames in found:
        assert frames.shape == (3, 2, 64, 64, 3)
        last = round(moment * 25)
        assert numbers(frames[:, 0]) == [last - 10, last - 5, last] and last % 5 == 0


def test_whoever_is_late_misses_frames():
    with sending(FRAMES, pause=0.0) as address:
        found = []
        for moment, _ in Camera(address, keep=2).newest():
            found.append(moment)
            time.sleep(0.05)
    assert 1 <= len(found) < 40 and found[-1] == pytest.approx(49 / 25)


def test_a_stream_that_falls_silent():
    """UDP has no end."""
    with sending(FRAMES, "udp", pause=0.02) as address:
        reader = Camera(address, keep=2, timeout=1.0).newest()
        assert next(reader)[1].shape == (2, 64, 96, 3)
    with pytest.raises(VideoError, match="no frame for 1 seconds"):
        list(reader)


def test_bad_cameras():
    for address in ("clip.mp4", "file:///etc/passwd", "concat://a", "-1", ""):
        with pytest.raises(ValueError, match="A camera must be"):
            Camera(address, keep=2)
    with pytest.raises(ValueError, match="keep=0"):
        Camera("0", keep=0)
    with pytest.raises(ValueError, match="timeout=0"):
        Camera("0", keep=1, timeout=0)
    for address in (99, "/dev/video99", f"tcp://127.0.0.1:{free_port()}"):
        with pytest.raises(VideoError, match=r"(/dev/video99|tcp.*): it cannot be read"):
            next(Camera(address, keep=2).newest())


def test_whatever_fails_is_told(monkeypatch):
    def fail(*_):
        raise RuntimeError("of the driver")

    camera = Camera(f"tcp://127.0.0.1:{free_port()}", keep=2)
    monkeypatch.setattr(camera, "_read_all", fail)
    with pytest.raises(VideoError, match=r"it cannot be read \(of the driver\)"):
        next(camera.newest())


def test_a_stream_shorter_than_a_clip():
    with sending(FRAMES[:6]) as address:
        with pytest.raises(VideoError, match="it ended after 6 frames; a clip needs 8"):
            next(Camera(address, keep=8).newest())
