"""Packed sets read like files, and damage found wherever it is."""

import os
import shutil
import sys
import types
from pathlib import Path

import fsspec
import numpy as np
import pytest
import tensorflow as tf
from clip_batches import assert_same, take
from packed_sets import contents, few, flip_byte, pack_small
from range_server import Whole, serve

from keras_mtnet.data import (
    ReadReport,
    clips,
    pack,
    read_split,
    video_dataset_from_directory,
    views,
)
from keras_mtnet.data.packing import manifest, storage
from keras_mtnet.video import ReadCache, VideoError

SMALL = {"frames": 4, "stride": 2, "size": 32, "batch_size": 5}


@pytest.fixture(scope="module")
def originals(drawn, tmp_path_factory):
    return few(drawn, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def packed(originals, tmp_path_factory):
    """12 videos of 2 classes in 3 shards; read-only."""
    return pack_small(originals, tmp_path_factory.mktemp("packed"))


@pytest.fixture
def copy(packed, tmp_path):
    """The packed set, to damage."""
    return shutil.copytree(packed, tmp_path / "copy")


def both(originals, packed, dataset="folder", **options):
    return [read_split(dataset, str(root), **options) for root in (originals, packed)]


# --- Lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("subset", ["train", "test", "all"])
@pytest.mark.parametrize("seed", [0, 5])
def test_folders_are_shared_out_like_files(originals, packed, subset, seed):
    files, found = both(originals, packed, subset=subset, split_seed=seed, validation_split=1 / 3)
    assert [(v.name, v.label) for v in found] == [(v.name, v.label) for v in files]
    assert found.class_names == files.class_names and found.stride == files.stride


def test_official_lists_and_missing_videos(drawn, tmp_path):
    """The lists of UCF-101, with a second split and a video that is not there."""
    root = tmp_path / "videos"
    shutil.copytree(drawn, root)
    for one, other in (("train", "test"), ("test", "train")):
        lines = (root / f"{one}list01.txt").read_text().splitlines()
        names = [line.split()[0] for line in lines]
        (root / f"{other}list02.txt").write_text("\n".join(names))
    missing = (root / "testlist01.txt").read_text().split()[3]
    (root / missing).unlink()
    output = pack_small(root, tmp_path / "packed", short_side=16)
    for split in (1, 2):
        for subset in ("train", "test", "all"):
            files, found = both(root, output, "ucf101", split=split, subset=subset)
            assert [(v.name, v.label) for v in found] == [(v.name, v.label) for v in files]
            assert found.missing == files.missing
            assert (found.dataset, found.stride) == ("ucf101", 4)
    assert len(read_split("folder", output)) == 32  # a set need not be named
    with pytest.raises(ValueError, match=r"has the splits 1, 2\. Received: split=3"):
        read_split("folder", output, split=3)
    with pytest.raises(ValueError, match=r"is packed from ucf101\. Received: 'hmdb51'"):
        read_split("hmdb51", output)


def test_a_csv_list_is_shared_out_like_files(originals, tmp_path):
    names = [video.name for video in read_split("folder", str(originals), subset="all")]
    rows = [
        f"{name},{name.split('/')[0]},{start},{start + 0.5}" for name in names for start in (0, 0.6)
    ]
    lists = tmp_path / "list.csv"
    lists.write_text("\n".join(["path,label,start,end", *rows]))
    output = str(tmp_path / "packed")
    pack("csv", str(originals), output, str(lists), shards=2)
    for subset in ("train", "test", "all"):
        files = read_split("csv", str(originals), str(lists), subset=subset)
        found = read_split("csv", output, subset=subset)
        assert [(v.name, v.label) for v in found] == [(v.name, v.label) for v in files]


def test_shards_that_are_missing_are_named(copy):
    (copy / manifest.shard_name(1, 3, "tfrecord")).unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 3 shards: 1\. Run the same"):
        read_split("folder", str(copy))


def test_shards_of_several_machines_are_put_together(copy, packed):
    (copy / "manifest.json").unlink()
    found = read_split("folder", str(copy), subset="all")
    assert [v.name for v in found] == [v.name for v in read_split("folder", packed, subset="all")]
    (copy / manifest.shard_name(2, 3, "json")).unlink()
    with pytest.raises(FileNotFoundError, match="lacks 1 of 3 shards: 2"):
        read_split("folder", str(copy))


# --- Clips ---------------------------------------------------------------------------------------


def test_clips_are_those_of_the_files(originals, packed):
    files, found = both(originals, packed, subset="all")
    options = {"training": True, "seed": 3, **SMALL}
    of_files, of_packed = (take(clips(v, **options), 99) for v in (files, found))
    for (x, y), (packed_x, packed_y) in zip(of_files, of_packed, strict=True):
        np.testing.assert_array_equal(y, packed_y)
        difference, mirrored = (
            np.abs(each.astype(float) - packed_x).mean() for each in (x, x[:, :, :, ::-1])
        )
        assert difference < 12 and difference < mirrored / 2  # what JPEG leaves
    report = ReadReport()
    take(clips(found, report=report, **options), 99)
    assert report.summary() == ""


def test_the_same_batches_whatever_the_parallelism_and_after_a_restart(packed):
    videos = read_split("folder", packed, subset="all")
    options = {"training": True, "seed": 1, **SMALL}
    whole = take(clips(videos, parallel_calls=1, **options), 3)
    assert_same(take(clips(videos, parallel_calls=5, **options), 3), whole)
    rest = clips(videos, parallel_calls=2, **options)
    rest.position.skip = 2
    assert_same(take(rest, 3)[2:], whole[2:])


def test_views_and_directories(originals, packed):
    files, found = both(originals, packed, subset="test")
    of_files, of_packed = (
        list(views(v, 4, 2, 32, num_clips=3, num_crops=3)) for v in (files, found)
    )
    for (x, *rest), (packed_x, *packed_rest) in zip(of_files, of_packed, strict=True):
        assert [int(each) for each in rest] == [int(each) for each in packed_rest]
        assert np.abs(x.numpy().astype(float) - packed_x.numpy()).mean() < 15
    dataset = video_dataset_from_directory(
        packed, image_size=32, validation_split=0.2, subset="validation"
    )
    assert sum(len(y) for _, y in dataset) == len(found)


def test_only_the_frames_asked_for_are_read_again(packed, monkeypatch):
    video = read_split("folder", packed, subset="all")[4]
    wanted = np.array([3, 9, 9, 1])
    cache = ReadCache()
    first = video.open(cache=cache).read(wanted)  # checks the whole record
    assert first.shape == (4, 48, 64, 3)
    ranges = []
    open_ranges = storage.open_ranges

    def watch(path):
        manager = open_ranges(path)

        class Watched:
            def __enter__(self):
                read = manager.__enter__()
                return lambda offset, size: (ranges.append((path, size)), read(offset, size))[1]

            def __exit__(self, *error):
                return manager.__exit__(*error)

        return Watched()

    monkeypatch.setattr(storage, "open_ranges", watch)
    again = video.open(cache=cache).read(wanted)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(again[1], again[2])
    sizes = [size for path, size in ranges if path.endswith("tfrecord")]
    assert len(sizes) == 3 and sum(sizes) < video.record.size / 5


# --- Damage --------------------------------------------------------------------------------------


def record_of(folder, place):
    video = read_split("folder", str(folder), subset="all")[place]
    return video, video.record


@pytest.mark.parametrize("where", ["length", "name", "first frame", "middle", "checksum"])
def test_a_flipped_byte_is_reported_with_shard_and_record(copy, where):
    video, record = record_of(copy, 7)  # the third record of shard 1
    assert (record.number, video.path[-8:]) == (2, "tfrecord")
    places = {
        "length": 2,
        "name": 40,
        "first frame": 300,
        "middle": record.size // 2,
        "checksum": record.size - 2,
    }
    flip_byte(video.path, record.offset + places[where])
    videos = read_split("folder", str(copy), subset="all")
    dataset = clips(videos, **SMALL)
    assert sum(len(y) for _, y in dataset) == 11
    assert list(dataset.report.failed) == [video.name]
    assert dataset.report.failed[video.name].startswith("shard-00001-of-00003.tfrecord, record 2: ")
    with pytest.raises(tf.errors.OpError, match=r"shard-00001-of-00003.tfrecord, record 2: "):
        list(clips(videos, training=True, strict=True, **SMALL))


def test_damage_that_comes_later_is_found_when_its_frame_is_read(copy):
    """After a record was checked as a whole."""
    video, record = record_of(copy, 3)
    packed = video.open(cache=ReadCache())
    packed.read(np.arange(packed.frame_count))
    stat = (copy / manifest.shard_name(0, 3, "tfrecord")).stat()
    rows = np.fromfile(copy / manifest.shard_name(0, 3, "frames"), manifest.FRAME)
    flip_byte(video.path, int(rows["offset"][record.first + 5]) + 100)
    os.utime(video.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    packed.read([4, 6])
    with pytest.raises(VideoError, match="record 1: frame 5 does not match its checksum"):
        packed.read([4, 5])


def test_a_damaged_table_of_frames(copy):
    video, record = record_of(copy, 3)
    table = copy / manifest.shard_name(0, 3, "frames")
    flip_byte(table, (record.first + 2) * manifest.FRAME.itemsize + 1)
    with pytest.raises(VideoError, match="record 1: "):
        video.open().read([1, 2, 3])
    with open(table, "r+b") as file:
        file.truncate(100)
    with pytest.raises(VideoError, match="too short"):
        video.open().read([1])


def test_a_shard_that_is_cut_off(copy):
    video, record = record_of(copy, 11)  # the last record of shard 2
    with open(video.path, "r+b") as file:
        file.truncate(record.offset + 500)
    dataset = views(
        read_split("folder", str(copy), subset="all"), 4, 2, 32, num_clips=2, num_crops=1
    )
    assert len(list(dataset)) == 11
    assert "shard-00002-of-00003.tfrecord, record 3" in dataset.report.failed[video.name]


def test_videos_that_could_not_be_packed_fail_like_files(originals, tmp_path):
    root = shutil.copytree(originals, tmp_path / "videos")
    name = next(path for path in sorted(root.rglob("*.avi"))).relative_to(root).as_posix()
    (root / name).write_bytes(b"")
    output = pack_small(root, tmp_path / "packed")
    for folder in (root, output):
        videos = read_split("folder", str(folder), subset="all")
        assert len(videos) == 12
        dataset = clips(videos, **SMALL)
        assert sum(len(y) for _, y in dataset) == 11
        assert dataset.report.failed == {name: "the file is empty"}


# --- Elsewhere -----------------------------------------------------------------------------------


@pytest.fixture
def remote(packed):
    """The set in a file system of fsspec, in memory, by the way that s3:// and gs:// take."""
    files = fsspec.filesystem("memory")
    for name, data in contents(Path(packed)).items():
        files.pipe_file(f"/sets/packed/{name}", data)
    yield "memory://sets/packed"
    files.rm("/sets", recursive=True)


def test_a_set_behind_an_address(packed, remote):
    here = read_split("folder", packed, subset="all")
    for root in (remote, f"{remote}/"):
        there = read_split("folder", root, subset="all")
        assert [v.name for v in there] == [v.name for v in here]
        options = {"training": True, "strict": True, **SMALL}
        assert_same(take(clips(there, **options), 9), take(clips(here, **options), 9))
    with pytest.raises(OSError, match="'memory://nowhere' holds no packed set"):
        read_split("folder", "memory://nowhere")
    with pytest.raises(OSError, match=r"nosuch://bucket/packed/manifest\.json: Protocol not known"):
        read_split("folder", "nosuch://bucket/packed")


def test_shards_without_the_manifest_of_the_set_behind_an_address(packed, remote):
    """As machines leave them that have each packed a part."""
    files = fsspec.filesystem("memory")
    files.rm("/sets/packed/manifest.json")
    here, there = (read_split("folder", root, subset="all") for root in (packed, remote))
    assert [v.name for v in there] == [v.name for v in here]
    files.rm("/sets/packed/shard-00001-of-00003.json")
    with pytest.raises(FileNotFoundError, match="lacks 1 of 3 shards: 1"):
        read_split("folder", remote)


def test_tensorflow_io_where_fsspec_is_not_there(packed, monkeypatch):
    """TensorFlow's own file system in memory stands for those that tensorflow-io adds."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(OSError, match=r'needs pip install "keras-mtnet\[remote\]"'):
        read_split("folder", "ram://sets/packed")
    monkeypatch.setitem(sys.modules, "tensorflow_io", types.ModuleType("tensorflow_io"))
    tf.io.gfile.makedirs("ram://sets/packed")
    for name, data in contents(Path(packed)).items():
        with tf.io.gfile.GFile(f"ram://sets/packed/{name}", "wb") as file:
            file.write(data)
    here, there = (read_split("folder", r, subset="all") for r in (packed, "ram://sets/packed"))
    assert [v.name for v in there] == [v.name for v in here]
    np.testing.assert_array_equal(there[5].open().read([3, 9]), here[5].open().read([3, 9]))
    with pytest.raises(OSError, match="'ram://nowhere' holds no packed set"):
        read_split("folder", "ram://nowhere")


def test_a_set_on_a_web_server(packed):
    here = read_split("folder", packed, subset="all")
    options = {"training": True, "strict": True, "seed": 2, **SMALL}
    with serve(packed) as (root, asked):
        there = read_split("folder", root, subset="all")
        assert [v.name for v in there] == [v.name for v in here]
        expected = take(clips(here, **options), 9)
        assert_same(take(clips(there, **options), 9), expected)
        assert [wanted for _, wanted in asked].count(None) == 1  # the manifest
        with pytest.raises(OSError, match="/nowhere' holds no packed set"):
            read_split("folder", f"{root}/nowhere")
    with pytest.raises(OSError, match=r"manifest\.json: "):
        read_split("folder", root)


def test_what_a_web_server_lacks_is_said(copy):
    video, record = record_of(copy, 11)
    with open(video.path, "r+b") as file:
        file.truncate(record.offset)
    with serve(copy) as (root, _):
        dataset = clips(read_split("folder", root, subset="all"), **SMALL)
        assert sum(len(y) for _, y in dataset) == 11
        assert "shard-00002-of-00003.tfrecord, record 3" in dataset.report.failed[video.name]
    with serve(copy, Whole) as (root, _):
        dataset = clips(read_split("folder", root, subset="all"), **SMALL)
        with pytest.raises(tf.errors.OpError, match="cannot send parts of a file"):
            list(dataset)
