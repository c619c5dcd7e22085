"""Videos whose frames show their own number, and how to spoil them."""

from fractions import Fraction

import av
import numpy as np

from keras_mtnet.video import EndsEarly, VideoFile

BITS = 6
X264 = {"b_frames": 3, "g": "12", "sc_threshold": "0"}
UNEVEN = np.cumsum(np.random.default_rng(0).integers(1, 6, 60))  # times of frames


def numbered(count, width=96, height=64):
    """Frames that show their number as six black or white blocks on the left half."""
    frames = np.full((count, height, width, 3), 128, "uint8")
    for number in range(count):
        for bit in range(BITS):
            frames[number, bit * 10 : bit * 10 + 10, : width // 2] = 255 * (number >> bit & 1)
    return frames


def numbers(frames):
    """Reads the numbers back."""
    blocks = np.stack([frames[:, bit * 10 + 5, 20].mean(-1) > 128 for bit in range(BITS)], -1)
    return (blocks << np.arange(BITS)).sum(-1).tolist()


def encode(path, frames, codec, pix_fmt="yuv420p", b_frames=0, times=None, **options):
    """Writes a video with any codec FFmpeg has; returns its path.

    Args:
        times: when each frame is shown, in 25ths of a second; one after the other when None.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.max_b_frames = b_frames
        if codec == "mpeg4":
            stream.thread_count = 3  # on any machine: its slices make packets larger
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if times is not None:
                picture.pts = int(times[number])
                picture.time_base = Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return str(path)


def remux(source, path, keep=lambda number: True, shift=0, **options):
    """Copies packets, without those that `keep` refuses, `shift` frames later."""
    with av.open(source) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            if keep(number):
                ticks = round(shift / 25 / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = stream
                new.mux(packet)
    return str(path)


def decode_all(path):
    """Every frame of a file, decoded from the start by PyAV alone."""
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def break_packet(path, number):
    """Overwrites one packet with zeros."""
    with av.open(path) as container:
        packet = [p for p in container.demux(video=0) if p.size][number]
        position, size = packet.pos, packet.size
    with open(path, "r+b") as file:
        file.seek(position)
        file.write(bytes(size))
    return path


def replace_bytes(path, old, new):
    """Replaces the one place in a file that holds `old`."""
    with open(path, "rb") as file:
        data = file.read()
    assert data.count(old) == 1 and len(old) == len(new)
    with open(path, "wb") as file:
        file.write(data.replace(old, new))
    return path


def read_window(path, choose, out=None, **part):
    """Frames as clips are read: chosen among as many as there are, and again after damage."""
    with VideoFile(path, **part) as video:
        try:
            frames = video.read(choose(video.frame_count), out=out)
        except EndsEarly:
            frames = video.read(choose(video.frame_count), out=out)
    return frames, video.damage
