"""DivX and XviD: B-frames that travel in other packets."""

import av
import numpy as np
import pytest
from numbered_videos import encode, numbered, numbers

from keras_mtnet.data import read_frames
from keras_mtnet.video import VideoFile, mpeg4

INTRA, P, B, S = range(4)
PLACEHOLDER = b"\0\0\1\xb6\x50\x01\x80"


def pack(source, path):
    """Copies a video as DivX writes it: B-frames behind the frame before, in the same packet."""
    with av.open(source) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        whole = [bytes(packet) for packet in old.demux(video=0) if packet.size]
        keys = [mpeg4.frame_type(av.Packet(data)) == INTRA for data in whole]
        packets, place = [], 0
        while place < len(whole):
            follows_b = (
                place + 1 < len(whole) and mpeg4.frame_type(av.Packet(whole[place + 1])) == B
            )
            packets += (
                [whole[place] + whole[place + 1], PLACEHOLDER] if follows_b else [whole[place]]
            )
            place += 1 + follows_b
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.pts = packet.dts = number
            packet.time_base = old.streams.video[0].time_base
            packet.is_keyframe = keys[number]
            packet.stream = stream
            new.mux(packet)
    return str(path)


@pytest.mark.parametrize(
    "types, expected",
    [
        ([], []),
        ([INTRA], [0]),
        ([INTRA, P, P], [0, 1, 2]),
        ([INTRA, P, B, B, P, B, INTRA, P], [0, 3, 1, 2, 5, 4, 6, 7]),
        ([INTRA, S, B, P, B, B], [0, 2, 1, 5, 3, 4]),
    ],
)
def test_frame_order(types, expected):
    assert mpeg4.frame_order(types).tolist() == expected


def test_packed_b_frames(tmp_path):
    plain = encode(tmp_path / "plain.avi", numbered(31), "mpeg4", b_frames=1, g="12")
    packed = pack(plain, tmp_path / "packed.avi")
    with av.open(packed) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    assert sizes.count(len(PLACEHOLDER)) > 8
    index = VideoFile(packed).index
    assert index.count == len(sizes) == 31 and index.order is not None
    assert numbers(read_frames(packed, np.arange(31))) == list(range(31))
    for start in range(0, 25, 3):
        wanted = [start, start + 2, start + 5]
        assert numbers(read_frames(packed, wanted)) == wanted
    np.testing.assert_allclose(index.times, np.arange(31) / 25, atol=1e-6)


def test_packets_without_a_frame_are_passed_over(tmp_path):
    """DivX begins with packets of one byte, to fill the time until the first B-frame."""
    plain = encode(tmp_path / "plain.avi", numbered(20), "mpeg4", b_frames=2)
    with av.open(plain) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream)]
        filled = [packets[0], av.Packet(b"\x7f"), *packets[1:]]
        kept = list(mpeg4.one_frame_each(filled, stream))
    assert len(kept) == len(packets) == 21 and not kept[-1].size
    assert [mpeg4.frame_type(packet) for packet in kept[:4]] == [INTRA, P, B, B]
