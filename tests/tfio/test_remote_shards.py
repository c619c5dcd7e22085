"""Packed sets in S3 with tensorflow-io, against a server on this machine: `make test-tfio`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from packed_sets import contents, few, flip_byte, pack_small
from range_server import serve

pytest.importorskip("tensorflow_io", reason="needs TensorFlow 2.16 and tensorflow-io")
boto3 = pytest.importorskip("boto3", reason="needs moto[server]")
server = pytest.importorskip("moto.server", reason="needs moto[server]")

from keras_mtnet.data import clips, read_split, views  # noqa: E402

SMALL = {"frames": 4, "stride": 2, "size": 32, "batch_size": 5}


@pytest.fixture(scope="module")
def packed(drawn, tmp_path_factory):
    """12 videos of 2 classes in 3 shards; read-only."""
    videos = few(drawn, tmp_path_factory.mktemp("few"))
    return pack_small(videos, tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a server that answers like S3, which tensorflow-io is told to take."""
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    settings = {
        "S3_ENDPOINT": f"http://{host}:{port}",
        "S3_USE_HTTPS": "0",
        "S3_VERIFY_SSL": "0",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=settings["S3_ENDPOINT"], region_name="us-east-1")
        client.create_bucket(Bucket="videos")
        yield client
    moto.stop()


def put(bucket, folder, prefix):
    """Puts the files of a folder into the bucket; returns their URL."""
    for name, data in contents(Path(folder)).items():
        bucket.put_object(Bucket="videos", Key=f"{prefix}/{name}", Body=data)
    return f"s3://videos/{prefix}"


def assert_same(one, other):
    one, other = list(one), list(other)
    assert len(one) == len(other) > 2
    for each, expected in zip(one, other, strict=True):
        for value, expected_value in zip(each, expected, strict=True):
            np.testing.assert_array_equal(value, expected_value)


def test_clips_and_views_are_those_of_the_disk(packed, bucket):
    root = put(bucket, packed, "some/set")
    with serve(packed) as (web, _):
        for place in (root, f"{root}/", web):
            here, there = (read_split("folder", each, subset="all") for each in (packed, place))
            assert [v.name for v in there] == [v.name for v in here]
            assert all(v.path.startswith(place) for v in there)
            options = {"training": True, "strict": True, "seed": 4, **SMALL}
            assert_same(clips(there, **options), clips(here, **options))
            assert_same(views(there, 4, 2, 32, clips=2), views(here, 4, 2, 32, clips=2))


def test_shards_without_the_manifest_of_the_set(packed, bucket):
    """As machines leave them that have each packed a part."""
    root = put(bucket, packed, "parts")
    bucket.delete_object(Bucket="videos", Key="parts/manifest.json")
    here, there = (read_split("folder", each, subset="all") for each in (packed, root))
    assert [v.name for v in there] == [v.name for v in here]
    bucket.delete_object(Bucket="videos", Key="parts/shard-00001-of-00003.json")
    with pytest.raises(FileNotFoundError, match="lacks 1 of 3 shards: 1"):
        read_split("folder", root)


def test_damage_and_what_is_not_there(packed, bucket, tmp_path):
    video = read_split("folder", packed, subset="all")[7]
    data = tmp_path / "shard"
    data.write_bytes(Path(video.path).read_bytes())
    flip_byte(data, video.record.offset + video.record.size // 2)
    root = put(bucket, packed, "damaged")
    key = f"damaged/{os.path.basename(video.path)}"
    bucket.put_object(Bucket="videos", Key=key, Body=data.read_bytes())
    bucket.delete_object(Bucket="videos", Key="damaged/shard-00002-of-00003.tfrecord")
    dataset = clips(read_split("folder", root, subset="all"), **SMALL)
    assert sum(len(y) for _, y in dataset) == 7
    reason = dataset.report.failed.pop(video.name)
    assert reason.startswith("shard-00001-of-00003.tfrecord, record 2: its bytes do not match")
    assert len(dataset.report.failed) == 4
    assert all("shard-00002-of-00003" in each for each in dataset.report.failed.values())
    for nowhere in ("s3://videos/nothing", "s3://nobody/nothing"):
        with pytest.raises(OSError, match=f"{nowhere}/manifest.json"):
            read_split("folder", nowhere)


READ = """
import sys
from keras_mtnet.data import clips, read_split
videos = read_split("folder", sys.argv[1], subset="all")
assert sum(len(y) for _, y in clips(videos, 4, 2, 32, strict=True)) == 12
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.parametrize("status", [0, 3])
def test_processes_end_with_their_status(packed, bucket, status):
    """And do not abort, as they do where nothing keeps tensorflow-io from it."""
    root = put(bucket, packed, "process")
    done = subprocess.run([sys.executable, "-c", READ, root, str(status)], capture_output=True)
    assert done.returncode == status, done.stderr


def test_from_the_command_line(bucket, tmp_path):
    command = [sys.executable, "-m", "keras_mtnet.cli", "train", "--recipe", "demo"]
    command += ["--root", "s3://videos/nothing", "--output", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "s3://videos/nothing/manifest.json" in done.stderr and "Traceback" not in done.stderr
