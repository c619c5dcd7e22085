"""`check-videos`: what is in files and what is wrong with them."""

import json
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from csv_rows import csv_rows
from numbered_videos import break_packet, encode, numbered, remux

from keras_mtnet import cli
from keras_mtnet.data import (
    VideoError,
    check_videos,
    clips,
    count_frames,
    pack,
    read_split,
    views,
)
from keras_mtnet.video.check import VideoCheck, check_video


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """50 frames whose packets are large enough to be damaged in part."""
    path = tmp_path_factory.mktemp("noisy") / "a.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (50, 64, 96, 3), "uint8")
    return encode(path, frames, "libx264", g="10")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, noisy):
    """Sound and unsound files, in several folders."""
    root = tmp_path_factory.mktemp("videos")
    (root / "b" / "frames").mkdir(parents=True)
    (root / ".hidden").mkdir()
    times = np.arange(12) * 2
    encode(root / "a.mp4", numbered(10), "libx264")
    encode(root / "b" / "slow.MKV", numbered(12), "ffv1", "bgr0", times=times)
    encode(root / "b" / "one.webm", numbered(1), "libvpx-vp9")
    for number, frame in enumerate(numbered(3, 40, 64)):
        encode(root / "b" / "frames" / f"{number}.png", frame[None], "png", "rgb24", update="1")
    encode(root / ".hidden" / "no.mp4", numbered(10), "libx264")
    (root / "list.txt").write_text("a.mp4 0\n")
    break_packet(encode(root / "broken.mp4", numbered(30), "libx264"), 20)
    (root / "empty.avi").write_bytes(b"")
    return root


def test_what_is_in_files(folder):
    found = {check.path[len(str(folder)) + 1 :]: check for check in check_videos(str(folder))}
    broken = "it ends after 20 frames (Invalid data found when processing input)"
    expected = {
        "a.mp4": (10, 25.0, 96, 64, "h264", None),
        "b/frames": (3, None, 40, 64, "pictures", None),
        "b/one.webm": (1, 25.0, 96, 64, "vp9", None),
        "b/slow.MKV": (12, 12.5, 96, 64, "ffv1", None),
        "broken.mp4": (20, 25.0, 96, 64, "h264", broken),
        "empty.avi": (0, None, None, None, None, "the file is empty"),
    }
    assert list(found) == sorted(expected)
    for name, values in expected.items():
        assert found[name] == VideoCheck(str(folder / name), *values)


def test_frames_of_which_parts_are_missing(noisy, tmp_path):
    """H.264 hides such damage: nothing but the frame's own mark tells."""
    with open(noisy, "rb") as file:
        data = bytearray(file.read())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    check = check_video(str(path))
    assert check.frames == 50 and check.error.startswith("parts of ")
    assert check_video(noisy).error is None


def test_files_that_were_cut_off(noisy, tmp_path):
    whole = remux(noisy, tmp_path / "a.mkv")
    with open(whole, "rb") as file:
        data = file.read()
    # Between two packets, so that all that is there is sound.
    kept = remux(noisy, tmp_path / "b.mkv", keep=lambda number: number < 20)
    with open(kept, "rb") as file:
        length = file.read().rindex(b"\x1c\x53\xbb\x6b")  # where its index of keyframes begins
    (tmp_path / "a.mkv").write_bytes(data[:length])
    check = check_video(whole)
    assert 15 <= check.frames <= 25 and check.error.endswith("of 2.0 seconds")
    assert check_video(kept).error is None


def with_sound(path, frames, seconds=0.0, first=0.0, codec="libx264", sound="aac"):
    """A video that begins at `first` seconds, with sound that ends at `seconds`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        tone = container.add_stream(sound, rate=48000, layout="mono") if seconds else None
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number + round(25 * first), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for start in range(0, round(48000 * seconds), 960) if tone else ():
            kind = tone.codec_context.format.name
            sample = np.zeros((1, 960), "float32" if kind.startswith("flt") else "int16")
            block = av.AudioFrame.from_ndarray(sample, kind, "mono")
            block.rate, block.pts, block.time_base = 48000, start, Fraction(1, 48000)
            container.mux(tone.encode(block))
        container.mux(tone.encode() if tone else [])


@pytest.mark.parametrize(
    "name, codec, sound",
    [
        ("a.mp4", "libx264", "aac"),
        ("a.mkv", "libx264", "aac"),
        ("a.flv", "flv", "aac"),
        ("a.ts", "libx264", "aac"),
        ("a.webm", "libvpx", "libopus"),
        ("a.avi", "mpeg4", "pcm_s16le"),
    ],
)
def test_whole_files_are_whole(tmp_path, name, codec, sound):
    """Whatever their sound, where they begin, and be it one frame."""
    frames = numbered(30)
    with_sound(tmp_path / f"long_sound_{name}", frames, 5.0, 0.0, codec, sound)
    with_sound(tmp_path / f"short_sound_{name}", frames, 0.4, 0.0, codec, sound)
    with_sound(tmp_path / f"late_{name}", frames, 0.0, 7.0, codec, sound)
    with_sound(tmp_path / f"late_with_sound_{name}", frames, 3.0, 2.0, codec, sound)
    with_sound(tmp_path / f"one_{name}", frames[:1], 0.0, 0.0, codec, sound)
    with_sound(tmp_path / f"one_with_sound_{name}", frames[:1], 4.0, 0.0, codec, sound)
    checks = check_videos(str(tmp_path))
    assert len(checks) == 6 and {check.path: check.error for check in checks if check.error} == {}
    assert {check.frames for check in checks if "one_" in check.path} == {1}


def test_real_files_that_are_whole(real_data):
    folder = real_data / "odd_more"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there")
    checks = check_videos(str(folder))
    assert len(checks) == 5 and not any(check.error for check in checks)


@pytest.mark.parametrize("name", ["a.mp4", "b/slow.MKV", "broken.mp4", "b/frames"])
def test_counts_are_those_of_decoding(folder, name):
    assert check_video(str(folder / name)).frames == count_frames(folder / name)


def test_unreadable_files_give_the_reason_that_reading_gives(folder):
    with pytest.raises(VideoError) as error:
        count_frames(folder / "empty.avi")
    assert check_video(str(folder / "empty.avi")).error == error.value.reason


def test_what_is_no_video_has_one_name_and_reason_everywhere(tmp_path):
    """For check-videos, clips, views and pack."""
    root = tmp_path / "videos"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        encode(root / name / "good.mp4", numbered(10), "libx264")
    encode(root / "a" / "still.png", numbered(1), "png", "rgb24", update="1")
    (root / "a" / "still.png").rename(root / "a" / "still.mp4")
    with av.open(str(root / "a" / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
        sound.rate = 16000
        container.mux([*stream.encode(sound), *stream.encode()])
    with av.open(str(root / "a" / "good.mp4")) as old, av.open(str(root / "b.mkv"), "w") as new:
        new.add_stream_from_template(old.streams.video[0])
        new.start_encoding()
    (root / "b.mkv").rename(root / "b" / "none.mkv")
    expected = {
        "a/sound.mp4": "no video stream in the file",
        "a/still.mp4": "a still image, not a video",
        "b/none.mkv": "it holds no frame",
    }
    checks = check_videos(str(root))
    assert {c.path[len(str(root)) + 1 :]: c.error for c in checks if c.error} == expected
    packed = pack("folder", str(root), str(tmp_path / "packed"), shards=2)
    assert packed.unreadable == expected
    for folder in (root, tmp_path / "packed"):
        videos = read_split("folder", str(folder), subset="all")
        for dataset in (clips(videos, 4, 2, 32), views(videos, 4, 2, 32, num_clips=2, num_crops=1)):
            list(dataset)
            assert dataset.report.failed == expected
            assert all(
                f"{name}: {reason}" in dataset.report.summary() for name, reason in expected.items()
            )


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder: 'nowhere'"):
        check_videos("nowhere")
    with pytest.raises(ValueError, match="there is no video in"):
        check_videos(str(tmp_path))
    with pytest.raises(ValueError, match="workers must be an integer of at least 1"):
        check_videos(str(tmp_path), workers=0)


def test_from_the_command_line(folder):
    command = [sys.executable, "-m", "keras_mtnet.cli", "check-videos", "--root", str(folder)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(done.stdout) == [check.to_dict() for check in check_videos(str(folder))]
    last = done.stderr.strip().splitlines()[-1]
    assert last == "keras-mtnet check-videos: error: 2 of 6 videos are damaged or unreadable"
    assert "Traceback" not in done.stderr and "100%" in done.stderr  # the bar


def test_table(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check-videos", "--root", str(folder / "b"), "--workers", "2"])
    assert not stopped.value.code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["frames", "fps", "size", "codec", "path"]
    assert lines[1].split() == ["3", "-", "40x64", "pictures", str(folder / "b" / "frames")]
    assert lines[2].split() == ["1", "25.000", "96x64", "vp9", str(folder / "b" / "one.webm")]
    assert lines[-1] == "3 videos, 0 damaged or unreadable"


def test_no_tensorflow_is_needed():
    """So it starts at once."""
    script = "import sys; import keras_mtnet.video.check; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_real_files(real_data):
    folder = real_data / "odd_and_original"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there")
    rows = {row["file"].rstrip("/"): row for row in csv_rows(folder / "manifest.csv")}
    checks = {check.path[len(str(folder)) + 1 :]: check for check in check_videos(str(folder))}
    assert set(checks) == set(rows)
    for name, row in rows.items():
        size = int(row["width"]), int(row["height"])
        check = checks[name]
        assert check.frames == int(row["frames"]), name
        assert (check.width, check.height) == (size[::-1] if "rotated" in name else size), name
        assert (check.error is None) == (row["decode"] == "ok"), name
        if row["fps"]:
            assert check.codec == row["codec"], name
            assert check.fps == pytest.approx(float(row["fps"]), rel=0.02), name
