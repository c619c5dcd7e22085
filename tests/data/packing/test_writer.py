"""Packing: what TensorFlow reads in the shards, and the same bytes however they came about."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from numbered_videos import break_packet, encode, numbered, numbers
from packed_sets import contents, few, pack_small

from keras_mtnet.data import pack, read_frames, read_split
from keras_mtnet.data.packing import manifest
from keras_mtnet.data.synthetic import write_video


@pytest.fixture(scope="module")
def originals(drawn, tmp_path_factory):
    return few(drawn, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def packed(originals, tmp_path_factory):
    """12 videos of 2 classes in 3 shards; read-only."""
    folder = tmp_path_factory.mktemp("packed")
    pack_small(originals, folder)
    return folder


def parse(record):
    """A record, as anyone with TensorFlow reads it."""
    context = {
        name: tf.io.FixedLenFeature([], tf.int64) for name in ("image/height", "image/width")
    }
    context["clip/label/index"] = tf.io.FixedLenFeature([], tf.int64)
    context["clip/name"] = tf.io.FixedLenFeature([], tf.string)
    frames = {"image/encoded": tf.io.FixedLenSequenceFeature([], tf.string)}
    return tf.io.parse_single_sequence_example(record, context, frames)


# --- What is written -----------------------------------------------------------------------------


def test_shards_are_tfrecords_of_jpegs(originals, packed):
    videos = {video.name: video for video in read_split("folder", str(originals), subset="all")}
    shards = sorted(map(str, packed.glob("*.tfrecord")))
    assert [len(list(tf.data.TFRecordDataset(shard))) for shard in shards] == [4, 4, 4]
    for record in tf.data.TFRecordDataset(shards):
        context, frames = parse(record)
        video = videos.pop(context["clip/name"].numpy().decode())
        assert context["clip/label/index"] == video.label
        assert (context["image/height"], context["image/width"]) == (48, 64)
        pixels = np.stack([tf.io.decode_jpeg(jpeg) for jpeg in frames["image/encoded"]])
        expected = read_frames(video.path, np.arange(len(pixels)))
        assert np.abs(pixels.astype(int) - expected).mean() < 4
    assert not videos


def test_the_manifest_counts_and_sums(originals, packed):
    found = json.loads((packed / "manifest.json").read_text())
    assert found["set"]["class_names"] == sorted(os.listdir(originals))
    assert found["set"]["dataset"] == "folder" and found["set"]["stride"] == 2
    assert found["counts"]["videos"] == 12 and found["unreadable"] == {}
    frames = 0
    for number, shard in found["shards"].items():
        path = packed / manifest.shard_name(int(number), 3, "tfrecord")
        assert shard["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert shard["bytes"] == path.stat().st_size
        table = path.with_suffix(".frames").read_bytes()
        assert shard["frames_sha256"] == hashlib.sha256(table).hexdigest()
        frames += sum(record["frames"] for record in shard["records"])
    assert found["counts"]["frames"] == frames > 300
    assert all(record["fps"] == 25 for record in found["shards"]["0"]["records"])


def test_frames_are_made_smaller_but_not_larger(originals, tmp_path):
    options = {"shards": 1, "short_side": 24, "quality": 98}
    packed = pack("folder", str(originals), str(tmp_path), **options)
    assert {(r.height, r.width) for r in packed.records} == {(24, 32)}
    record = next(iter(tf.data.TFRecordDataset(str(tmp_path / "shard-00000-of-00001.tfrecord"))))
    context, frames = parse(record)
    jpeg = tf.io.decode_jpeg(frames["image/encoded"][3]).numpy()
    path = str(originals / context["clip/name"].numpy().decode())
    assert np.abs(jpeg.astype(int) - read_frames(path, [3], 24)[0]).mean() < 5


def test_a_rate_of_ones_own(tmp_path):
    """10 of the 25 pictures a second: frames 0, 2 or 3, 5, 7 or 8, 10, ..."""
    for name in ("a/1.avi", "b/1.avi"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True)
        write_video(str(tmp_path / "videos" / name), numbered(50))
    packed = pack(
        *("folder", str(tmp_path / "videos"), str(tmp_path / "packed")),
        **{"shards": 1, "fps": 10},
    )
    assert [(r.frames, r.fps) for r in packed.records] == [(20, 10)] * 2
    record = next(iter(tf.data.TFRecordDataset(str(tmp_path / "packed" / shard(0, 1)))))
    pixels = np.stack([tf.io.decode_jpeg(jpeg) for jpeg in parse(record)[1]["image/encoded"]])
    assert np.abs(np.array(numbers(pixels)) - np.arange(0, 50, 2.5)).max() <= 0.5


def shard(number, shards):
    return manifest.shard_name(number, shards, "tfrecord")


def test_parts_of_videos(tmp_path):
    """A list with start and end: a record holds the part alone."""
    write_video(str(tmp_path / "one.avi"), numbered(60))
    rows = ["path,label,start,end", "one.avi,a,0.4,1.2", "one.avi,b,1.2,", "one.avi,a,,0.4"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    output = tmp_path / "packed"
    pack(
        *("csv", str(tmp_path), str(output), str(tmp_path / "list.csv")),
        **{"shards": 1},
    )
    found = {}
    for record in tf.data.TFRecordDataset(str(output / shard(0, 1))):
        context, frames = parse(record)
        pixels = np.stack([tf.io.decode_jpeg(jpeg) for jpeg in frames["image/encoded"]])
        found[context["clip/name"].numpy().decode()] = numbers(pixels)
    assert sorted(found.values()) == [list(range(10)), list(range(10, 30)), list(range(30, 60))]


def test_what_cannot_be_read_is_named(originals, tmp_path):
    root = shutil.copytree(originals, tmp_path / "videos")
    first, second, third = sorted(path for path in root.rglob("*") if path.is_file())[:3]
    first.write_text("not a video")
    second.unlink()
    broken = break_packet(encode(tmp_path / "b.mp4", numbered(30), "libx264"), 20)
    shutil.copy(broken, third.with_suffix(".mp4"))
    packed = pack("folder", str(root), str(tmp_path / "packed"), shards=2)
    name = first.relative_to(root).as_posix()
    assert packed.unreadable == {name: "a text file, not a video"}
    assert packed.counts["videos"] == 10 + (third.suffix != ".mp4")
    damaged = [record for record in packed.records if record.damage]
    assert [record.frames for record in damaged] == [20] and "20 frames" in damaged[0].damage
    text = json.loads((tmp_path / "packed" / "manifest.json").read_text())
    assert text["unreadable"] == packed.unreadable and text["counts"]["damaged"] == 1


# --- The same bytes ------------------------------------------------------------------------------


def test_workers_and_parts_do_not_change_a_byte(originals, packed, tmp_path):
    parts = [tmp_path / "0", tmp_path / "1"]
    for index, part in enumerate(parts):
        options = {"workers": 1, "shard_index": index, "shard_count": 2}
        pack_small(originals, part, **options)
        assert not (part / "manifest.json").exists()
    assert sorted(path.name[6:11] for path in parts[1].glob("*.tfrecord")) == ["00001"]
    for path in parts[1].iterdir():
        shutil.copy(path, parts[0])
    pack_small(originals, parts[0])  # finds everything there, and completes the manifest
    assert contents(parts[0]) == contents(packed)


def test_finished_shards_are_left_alone(originals, packed, tmp_path):
    """And those that are cut off, or without their last file, are not finished."""
    folder = tmp_path / "packed"
    shutil.copytree(packed, folder)
    names = sorted(path.name for path in folder.glob("shard-*.json"))
    (folder / "manifest.json").unlink()
    (folder / names[0]).unlink()
    with open((folder / names[1]).with_suffix(".tfrecord"), "ab") as file:
        file.truncate(1000)
    (folder / f".12345678.{shard(0, 3)}").write_bytes(b"what a killed run left")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    pack_small(originals, folder)
    assert contents(folder) == contents(packed)
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    untouched = {name for name in after if before.get(name) == after[name]}
    assert untouched == {path.name for path in folder.glob("shard-00002*")}


# The command, but slow enough to be caught at work: half a second a shard.
SLOWLY = """
import sys, time
import tensorflow as tf
from keras_mtnet import cli
encode = tf.io.encode_jpeg
tf.io.encode_jpeg = lambda *args, **options: (time.sleep(0.003), encode(*args, **options))[1]
cli.main(sys.argv[1:])
"""


def test_a_killed_run_goes_on_to_the_same_bytes(originals, packed, tmp_path):
    """SIGKILL while it writes, twice; then to the end."""
    folder = tmp_path / "packed"
    arguments = ["pack", "--root", originals, "--output", folder]
    arguments += ["--shards", "3", "--quality", "95", "--workers", "1"]

    def finished():
        return len(list(folder.glob("shard-*.json")))

    for kill in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOWLY, *arguments], stdout=subprocess.DEVNULL
        )
        # Once a further shard is done, the next one has begun.
        while process.poll() is None and finished() <= kill:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert finished() < 3 and not (folder / "manifest.json").exists()
    assert finished() > 0
    command = [sys.executable, "-m", "keras_mtnet.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of 3 shards are there" in done.stderr and "The set is complete" in done.stdout
    assert contents(folder) == contents(packed)


# --- Refused -------------------------------------------------------------------------------------


def test_another_set_in_the_folder(originals, packed):
    before = contents(packed)
    with pytest.raises(ValueError, match=r"short_side is 320 and 100\. Choose another"):
        pack_small(originals, packed, short_side=100)
    with pytest.raises(ValueError, match="shards is 3 and 4"):
        pack_small(originals, packed, shards=4)
    with pytest.raises(FileExistsError, match="holds something else"):
        pack_small(originals, packed.parent)
    for inside in (originals, originals / "packed"):
        with pytest.raises(ValueError, match=r"output must lie outside root"):
            pack_small(originals, inside)
    assert not (originals / "packed").exists()
    assert contents(packed) == before


@pytest.mark.parametrize(
    "options, message",
    [
        ({"shards": 0}, "shards must be from 1 to 99999. Received: shards=0"),
        ({"quality": 101}, "quality must be from 1 to 100"),
        ({"short_side": 2}, "short_side must be from 16"),
        (
            {"shard_index": 2, "shard_count": 2},
            "shard_index must be from 0 to 1. Received: shard_index=2",
        ),
        ({"shard_count": 4}, "shard_count must be from 1 to 3"),
        ({"fps": 0.0}, "fps must be"),
        ({"workers": 0}, "workers must be"),
    ],
)
def test_wrong_arguments(originals, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        pack_small(originals, tmp_path / "packed", **options)
    assert not (tmp_path / "packed").exists()


def test_nothing_to_read(tmp_path):
    for name in ("a/1.avi", "b/1.avi"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True)
        (tmp_path / "videos" / name).write_text("no")
    with pytest.raises(
        ValueError, match=r"none of the 2 videos can be read, e\.g\. a/1\.avi: a text"
    ):
        pack_small(tmp_path / "videos", tmp_path / "packed")
