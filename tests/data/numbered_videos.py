"""Videos whose frames show their own number, and how to damage them."""

import av
import numpy as np

BITS = 6


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


def encode(path, frames, codec, pix_fmt="yuv420p", b_frames=0, **options):
    """Writes a video with any codec FFmpeg has; returns its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.max_b_frames = b_frames
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return str(path)


def break_packet(path, number):
    """Overwrites one packet with zeros."""
    with av.open(path) as container:
        packet = [p for p in container.demux(video=0) if p.size][number]
        position, size = packet.pos, packet.size
    with open(path, "r+b") as file:
        file.seek(position)
        file.write(bytes(size))
    return path
