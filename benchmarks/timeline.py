"""How fast a long video becomes a timeline, and how much memory that takes.

    python benchmarks/timeline.py --minutes 30

Draws an H.264 video of 320 x 240 pixels at 25 frames a second, and slides X3D-XS with random
weights over it (4 frames at stride 12, 160 x 160). Resident memory is sampled ten times a second,
and compared with that after one clip.
"""

import argparse
import os
import tempfile
import threading
import time
from fractions import Fraction

import keras_mtnet as mt

import av
import numpy as np

HEIGHT, WIDTH, FPS = 240, 320, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    arguments = parser.parse_args()
    model = mt.X3DXS(weights=None, classes=400, input_shape=(4, 160, 160, 3))
    options = {"stride": 12, "batch_size": 8}
    mt.predict_timeline(model, np.zeros((400, 240, 320, 3), "uint8"), rate=FPS, **options)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "long.mp4")
        draw(path, round(arguments.minutes * 60 * FPS))
        print(f"{arguments.minutes:g} minutes, {os.path.getsize(path) / 1e6:.0f} MB", flush=True)
        before, peak, done = resident(), [0.0], threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                peak[0] = max(peak[0], resident())

        thread = threading.Thread(target=watch)
        thread.start()
        start = time.perf_counter()
        timeline = mt.predict_timeline(model, path, **options)
        seconds = time.perf_counter() - start
        done.set()
        thread.join()
        for name in ("a.csv", "a.srt", "a.png"):
            timeline.write(os.path.join(folder, name), threshold=0.0)
    print(
        f"{len(timeline.scores)} windows in {seconds:.0f} s, "
        f"{arguments.minutes * 60 / seconds:.1f} times as fast as it plays"
    )
    print(f"memory {before:.0f} MB after one clip, {peak[0] - before:.0f} MB more at the most")


def draw(path: str, count: int) -> None:
    """A block that moves over a gradient, so that every frame differs."""
    ground = np.zeros((HEIGHT, WIDTH, 3), "uint8")
    ground[..., 1] = np.linspace(0, 255, WIDTH)
    with av.open(path, "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(FPS), options={"preset": "ultrafast", "crf": "28"}
        )
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number in range(count):
            frame = ground.copy()
            x, y = number * 3 % (WIDTH - 40), number % (HEIGHT - 40)
            frame[y : y + 40, x : x + 40] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def resident() -> float:
    """Megabytes that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
