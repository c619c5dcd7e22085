"""The studies of reading videos run, on few and small ones, and find what they should."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))
from numbered_videos import encode

from keras_mtnet.video import VideoError, read_frames
from keras_mtnet.video.check import check_video

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Videos of noise in six codecs and five containers."""
    root = tmp_path_factory.mktemp("sound")
    frames = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), "uint8")
    encode(root / "a.mp4", frames, "libx264", b_frames=3, g="12")
    encode(root / "b.mkv", frames, "libx264", g="12")
    encode(root / "c.avi", frames, "mpeg4", g="12")
    encode(root / "d.webm", frames, "libvpx-vp9", g="12", **{"cpu-used": "8"})
    encode(root / "e.mp4", frames, "libx265", **{"x265-params": "keyint=12:log-level=none"})
    encode(root / "f.mov", frames, "mjpeg", "yuvj420p")
    encode(root / "g.webm", frames, "libvpx", g="12")
    return root


def run(script, *flags):
    command = [sys.executable, BENCHMARKS / script, *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True)


def test_damaged_videos(sound, tmp_path):
    file = tmp_path / "damaged.json"
    flags = ["--root", sound, "--files", 64, "--clips", 100, "--json", file]
    done = run("damaged_videos.py", *flags)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(file.read_text())
    assert len({row["name"] for row in result["files"]}) == 64
    for row in result["files"]:
        assert row["outcome"] in ("failed", "used in part", "read")
        assert bool(row["reason"]) == (row["outcome"] != "read"), row
    outcomes = [row["outcome"] for row in result["files"]]
    assert outcomes.count("failed") >= 16 and outcomes.count("read") >= 8
    assert all(
        r["reason"] == "the file is empty" for r in result["files"] if "_empty_" in r["name"]
    )
    assert [row["clips"] for row in result["memory"]] == [*range(10, 101, 10)]


def test_damage_is_that_of_its_seed(sound, tmp_path):
    from damaged_videos import damage_videos

    def damage(name, seed):
        (tmp_path / name).mkdir()
        return [Path(p).read_bytes() for p in damage_videos(sound, tmp_path / name, 16, seed)]

    assert damage("a", 0) == damage("b", 0) != damage("c", 1)


def test_damaged_videos_are_checked_and_read_alike(sound, tmp_path):
    """What `check-videos` calls unreadable cannot be read, and the other way round."""
    from damaged_videos import damage_videos

    for path in damage_videos(sound, tmp_path, 64, seed=1):
        check = check_video(path)
        if check.frames:
            assert read_frames(path, [0]).shape[0] == 1
        else:
            assert check.error
            with pytest.raises(VideoError):
                read_frames(path, [0])


def test_seek(tmp_path):
    file = tmp_path / "seek.json"
    flags = ["--minutes", 1.2, "--keyframe_seconds", 2, "--windows", 3, "--json", file]
    done = run("seek.py", *flags)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(file.read_text())
    assert (result["frames"], result["keyframes"], result["exact"]) == (1800, 36, True)
    assert len(result["windows"]) == 3 and "times faster" in done.stdout
