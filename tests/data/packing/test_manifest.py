"""Manifests: there and back, and what is refused."""

import json

import pytest

from keras_mtnet.data.packing import manifest
from keras_mtnet.data.packing.manifest import PackedSet, Record, SetInfo, Shard

INFO = SetInfo(
    dataset="ucf101",
    stride=4,
    class_names=("Äpfel", "b"),
    splits=(1, 2),
    missing=(("a/gone.avi", ("train", "")),),
    videos=3,
    videos_sha256="0" * 64,
    shards=2,
    short_side=240,
    quality=85,
    fps=None,
)
SOUND = Record(
    "a/1.avi", "a/1.avi", 0, ("train", "test"), None, "ends", 9, 25.0, 48, 64, 0, 0, 99, 0
)
BROKEN = Record("a/2 \udcff.avi", "a/2 \udcff.avi", 0, ("train", ""), error="empty")
SHARDS = {
    0: Shard(99, "1" * 64, "2" * 64, (SOUND, BROKEN)),
    1: Shard(
        0, "3" * 64, "4" * 64, (Record("b/3.avi", "b/3.avi", 1, ("", "test"), error="empty"),)
    ),
}
PACKED = PackedSet(INFO, SHARDS)


def test_there_and_back():
    text = manifest.to_json(PACKED)
    assert manifest.from_json(text, "m.json") == PACKED
    assert manifest.to_json(manifest.from_json(text, "m.json")) == text
    values = json.loads(text)
    assert values["counts"] == {
        **{"videos": 1, "frames": 9, "bytes": 99, "damaged": 1, "unreadable": 2, "missing": 1},
    }
    assert values["unreadable"] == {"a/2 \udcff.avi": "empty", "b/3.avi": "empty"}
    assert text.count("\n") < 60  # a line for a video


def test_an_empty_set():
    empty = PackedSet(INFO, {})
    assert manifest.from_json(manifest.to_json(empty), "m.json") == empty
    assert empty.unfinished == [0, 1]


def test_merge():
    parts = [(f"{n}.json", PackedSet(INFO, {n: shard})) for n, shard in SHARDS.items()]
    assert manifest.merge(parts[::-1]) == PACKED
    other = PackedSet(manifest.dataclasses.replace(INFO, quality=50), {1: SHARDS[1]})
    with pytest.raises(
        ValueError, match=r"0.json and x.json are of different sets: quality is 85 and 50\."
    ):
        manifest.merge([parts[0], ("x.json", other)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1, "set": {}, "shards": {}}',
        manifest.to_json(PACKED).replace('"sha256"', '"sha"'),
        manifest.to_json(PACKED)[:-20],
    ],
)
def test_what_is_no_manifest(text):
    with pytest.raises(ValueError, match=r"^m\.json does not describe a packed set: "):
        manifest.from_json(text, "m.json")


def test_is_packed(tmp_path):
    assert not manifest.is_packed(str(tmp_path))
    assert not manifest.is_packed(str(tmp_path / "nowhere"))
    (tmp_path / "other.json").write_text("{}")
    assert not manifest.is_packed(str(tmp_path))
    (tmp_path / "shard-00000-of-00002.json").write_text("{}")
    assert manifest.is_packed(str(tmp_path))
