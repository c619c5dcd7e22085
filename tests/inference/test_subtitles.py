import re

import av
import pytest

from keras_mtnet.inference.subtitles import to_srt

NAMES = (
    "jump",
    "<b>bold</b>",
    "{\\an8}up",
    "a\\Nb",
    "a --> b",
    "x & y",
    "two\nlines",
    "日本",
    "a < b",
)


def test_ffmpeg_reads_it(tmp_path):
    """Times to the millisecond; names as they are but for an invisible character, in one line."""
    lines = [(i * 3700.125, i * 3700.125 + 1.5, name) for i, name in enumerate(NAMES)]
    path = tmp_path / "a.srt"
    path.write_text(to_srt(lines), encoding="utf-8")
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        found = [
            (packet.pts * stream.time_base, packet.duration * stream.time_base, subtitle)
            for packet in container.demux(stream)
            if packet.size
            for subtitle in packet.decode()
        ]
    assert [float(start) for start, *_ in found] == pytest.approx([a for a, *_ in lines], abs=5e-4)
    assert {float(length) for _, length, _ in found} == {1.5}
    texts = [subtitle.dialogue.decode() for *_, subtitle in found]
    shown = [text.translate({0x2060: None, 0xFF5B: "{", 0xFF5D: "}"}) for text in texts]
    assert shown == [" ".join(name.split()) for name in NAMES]


def test_every_block_is_whole():
    text = to_srt([(0.0, 59.9996, "a\r\n\r\nb"), (359999.0, 359999.5, " ")])
    blocks = text.split("\n\n")
    assert blocks[0] == "1\n00:00:00,000 --> 00:01:00,000\na b"
    assert blocks[1] == "2\n99:59:59,000 --> 99:59:59,500\n-\n"
    assert to_srt([]) == ""
    assert not re.search(r"\n\n\n", text)
