"""Folders of pictures: their order, their kinds, and what else lies in them."""

import os

import av
import numpy as np
import pytest
from numbered_videos import numbered, numbers
from PIL import Image, ImageOps

from keras_mtnet.video import FrameFolder, ReadCache, VideoError, check_videos, count_frames


def save(folder, names, count=None):
    """Pictures of those names, which show their places among them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, numbered(count or len(names)), strict=False):
        av.VideoFrame.from_ndarray(frame, "rgb24").to_image().save(folder / name)
    return folder


def shown(folder):
    video = FrameFolder(folder)
    return numbers(video.read(np.arange(video.frame_count)))


@pytest.mark.parametrize(
    "pattern, first",
    [
        ("frame{}.png", 0),
        ("{}.png", 5),
        ("frame_{:04d}.png", 9995),  # one digit more after 9999
        ("take2_{}.png", 0),
        ("v_Run_g01_c02_f{}.png", 98),
        ("IMG({}).png", 0),
        ("{}_rgb.png", 7),
        ("-{}.png", 1),
        ("0_{}.JP2", 8),
    ],
)
def test_numbers_in_names_are_compared_as_numbers(tmp_path, pattern, first):
    names = [pattern.format(first + number) for number in range(13)]
    assert shown(save(tmp_path / "frames", names)) == list(range(13))


def test_names_without_numbers_come_in_their_order(tmp_path):
    assert shown(save(tmp_path / "frames", ["a.png", "b.png", "c.png"])) == [0, 1, 2]


SUFFIXES = "bmp webp tif tiff ppm pgm png jpg JPEG jfif jp2 tga".split()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_kinds_of_pictures(tmp_path, suffix):
    folder = save(tmp_path / "frames", [f"{number}.{suffix}" for number in range(12)])
    assert shown(folder) == list(range(12)) and count_frames(folder) == 12


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA", "RGBA", "I;16"])
def test_colors_of_pictures(tmp_path, mode):
    for number, frame in enumerate(numbered(3)):
        picture = Image.fromarray(frame)
        if mode == "I;16":
            picture = Image.fromarray(frame[..., 0].astype("uint16") * 257)
        (picture if mode == "I;16" else picture.convert(mode)).save(tmp_path / f"{number}.png")
    assert shown(tmp_path) == [0, 1, 2]


def test_case_does_not_change_the_order(tmp_path):
    names = [
        f"{'Ff'[number % 2]}rame{number}.{('PNG', 'png')[number % 3 > 0]}" for number in range(12)
    ]
    assert shown(save(tmp_path / "frames", names)) == list(range(12))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_as_their_exif_says(tmp_path, orientation):
    picture = Image.fromarray(numbered(8)[5])
    exif = picture.getexif()
    exif[0x112] = orientation
    picture.save(tmp_path / "0.jpg", exif=exif, quality=95)
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "0.jpg"))
    found = FrameFolder(tmp_path).read([0])[0]
    assert np.abs(found.astype(int) - np.asarray(expected)).mean() < 1


def test_what_is_no_picture_is_passed_over(tmp_path):
    folder = save(tmp_path / "frames", [f"{number:03d}.png" for number in range(4)])
    for name in ("._000.png", "._003.png", ".DS_Store", "Thumbs.db", "annotation.txt"):
        (folder / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    assert shown(folder) == [0, 1, 2, 3] and count_frames(folder) == 4


@pytest.mark.parametrize(
    "patterns, named",
    [
        (["flow_x_{:04d}.png", "flow_y_{:04d}.png"], r"flow_x_#.png \(3\), flow_y_#.png \(3\)"),
        (["img_{}.png", "thumb_{}.png"], "img_#.png .*thumb_#.png"),
        (["{}.png", "{}_small.png"], "#.png .*#_small.png"),
        (["{}.jpg", "{}.png"], "#.jpg .*#.png"),
        (["img_{}.png", "cover.png"], r"cover.png \(1\), img_#.png \(3\)"),
        (["cam1_{:04d}.png", "cam2_{:04d}.png"], r"cam1_#.png \(3\), cam2_#.png \(3\)"),
    ],
)
def test_several_series_are_named(tmp_path, patterns, named):
    folder = tmp_path / "frames"
    for pattern in patterns:
        save(folder, sorted({pattern.format(number) for number in range(3)}))
    with pytest.raises(VideoError, match=f"several series of pictures in one folder: {named}"):
        FrameFolder(folder).read([0])


def test_several_numbers_may_count_together(tmp_path):
    names = [f"{number // 5:02}_{number % 5}.png" for number in range(12)]  # the last ones are few
    assert shown(save(tmp_path / "frames", names)) == list(range(12))


def test_pictures_that_cannot_be_read_end_the_video(tmp_path):
    folder = save(tmp_path / "frames", [f"{number}.png" for number in range(9)])
    (folder / "6.png").unlink()
    os.mkfifo(folder / "6.png")  # opening it would wait for ever
    video = FrameFolder(folder)
    assert video.frame_count == 9 and numbers(video.read([0, 5])) == [0, 5]
    with pytest.raises(VideoError, match=r"ends after 6 frames \(a pipe, not a file"):
        video.read([6])
    assert video.frame_count == count_frames(folder) == 6
    assert numbers(video.read([1])) == [1] and "6 frames" in video.damage
    (folder / "0.png").write_text("no picture")
    with pytest.raises(VideoError, match=r"no frame can be decoded \(a text file"):
        count_frames(folder)


def test_empty_and_unreadable_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match=r"it holds no frame: no file ends in .*\.png"):
        FrameFolder(tmp_path / "empty").frame_count  # noqa: B018
    with pytest.raises(VideoError, match="No such file"):
        FrameFolder(tmp_path / "missing").read([0])


def test_lists_of_pictures_follow_the_folder(tmp_path):
    folder, cache = save(tmp_path / "frames", ["1.png", "2.png"]), ReadCache()
    assert FrameFolder(folder, cache=cache).frame_count == 2
    save(folder, ["3.png"])
    os.utime(folder, (0, 0))
    assert FrameFolder(folder, cache=cache).frame_count == 3


def test_rates_and_parts(tmp_path):
    folder = save(tmp_path / "frames", [f"{number}.png" for number in range(50)])
    assert FrameFolder(folder).fps == 25
    assert FrameFolder(folder, fps=5).frame_count == 10
    assert FrameFolder(folder, rate=10, fps=5).frame_count == 25
    part = FrameFolder(folder, rate=10, start=1.0, end=3.0, fps=5)
    assert numbers(part.read(np.arange(part.frame_count))) == list(range(10, 30, 2))


def test_folders_are_checked(tmp_path):
    save(tmp_path / "a" / "one", [f"{number}.webp" for number in range(3)])
    save(tmp_path / "a" / "two", ["x1.png", "x2.png", "y1.png", "y2.png"])
    one, two = check_videos(str(tmp_path))
    assert (one.frames, one.codec, one.error) == (3, "pictures", None)
    assert two.error.startswith("several series")
