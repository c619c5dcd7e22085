"""Late windows of a long video: from the keyframe before them, against from the start.

    python benchmarks/seek.py --json seek.json

Makes an H.264 file of ten minutes with B-frames and a keyframe every ten seconds, and reads random
windows that begin in its last minute: with `VideoFile`, and by decoding from the start with PyAV
alone. Both convert the frames of the window only. A row tells the time of a window, and whether
the frames are the same, bit for bit.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator

from keras_mtnet.video import ReadCache, VideoFile

import av
import numpy as np

HEIGHT, WIDTH, RATE = 240, 320, 25


def scenes(count: int, seed: int) -> Iterator[np.ndarray]:
    """Frames uint8 `(240, 320, 3)`: a coarse picture that wanders, with some noise in it."""
    draw = np.random.default_rng(seed)
    picture = draw.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), "uint8")
    picture = picture.repeat(16, 0).repeat(16, 1)
    noise = draw.integers(0, 24, (8, HEIGHT, WIDTH, 1), "uint8")
    for number in range(count):
        yield np.roll(picture, (number // 2, number), (0, 1)) // 2 + noise[number % 8]


def make_video(path: str, minutes: float, keyframe_seconds: float, seed: int) -> None:
    options = {
        "preset": "veryfast",
        "crf": "32",
        "g": str(round(keyframe_seconds * RATE)),
        "sc_threshold": "0",
    }
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.max_b_frames = 3
        for picture in scenes(round(minutes * 60 * RATE), seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def from_the_start(path: str, numbers: np.ndarray) -> np.ndarray:
    wanted = set(numbers.tolist())
    kept = []
    with av.open(path) as container:
        container.streams.video[0].thread_type = "NONE"
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                kept.append(frame.to_ndarray(format="rgb24"))
                if len(kept) == len(wanted):
                    return np.stack(kept)
    raise ValueError(f"{path} ends before frame {max(wanted)}")


def timed(function, *arguments) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def measure(path: str, options: argparse.Namespace) -> dict:
    video = VideoFile(path, cache=ReadCache())
    index_seconds, index = timed(lambda: video.index)
    span = (options.frames - 1) * options.stride + 1
    draw = np.random.default_rng(options.seed)
    rows = []
    for _ in range(options.windows):
        start = int(draw.integers(index.count - 60 * RATE, index.count - span + 1))
        numbers = start + options.stride * np.arange(options.frames)
        sought, ours = timed(video.read, numbers)
        decoded, expected = timed(from_the_start, path, numbers)
        rows.append(
            {
                "first frame": start,
                "sought": sought,
                "from the start": decoded,
                "same": bool((ours == expected).all()),
            }
        )
    return {
        "megabytes": os.path.getsize(path) / 1e6,
        "frames": index.count,
        "keyframes": len(index.keys.numbers),
        "index": index_seconds,
        "windows": rows,
        "times faster": float(np.median([row["from the start"] / row["sought"] for row in rows])),
        "exact": all(row["same"] for row in rows),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--keyframe_seconds", type=float, default=10)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="file for the numbers")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "long.mp4")
        make_video(path, options.minutes, options.keyframe_seconds, options.seed)
        result = measure(path, options)
    print(
        f"{result['frames']} frames, {result['keyframes']} keyframes, "
        f"{result['megabytes']:.0f} MB; index of all packets, once: {result['index'] * 1e3:.0f} ms"
    )
    print(f"\n{'first frame':>12}{'sought, ms':>12}{'from the start, ms':>20}   same frames")
    for row in result["windows"]:
        sought, decoded = row["sought"] * 1e3, row["from the start"] * 1e3
        same = "yes" if row["same"] else "NO"
        print(f"{row['first frame']:12d}{sought:12.1f}{decoded:20.1f}   {same}")
    print(f"\n{result['times faster']:.0f} times faster (median)")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(options), **result}, file, indent=2)
    if not result["exact"]:
        sys.exit("frames differ")


if __name__ == "__main__":
    main()
