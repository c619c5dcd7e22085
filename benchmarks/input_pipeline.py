"""Clips per second of the input pipeline, beside what decoders reach on the same windows.

    python benchmarks/input_pipeline.py                        # drawn videos
    python benchmarks/input_pipeline.py --videos UCF-101       # made of real ones
    pip install opencv-python-headless                         # to compare with OpenCV as well

Videos of 150 to 300 frames, 320 x 240 and 180 x 144 pixels, are made of the given ones by a fixed
seed: MPEG-4 in avi as UCF-101 has it (520 kbit/s, 25 frames/s, one scene and so one keyframe) and
H.264 in mp4. Each shows one of the given videos, to and fro until it is long enough. Training
windows, 16 frames of stride 4 at a random start, are then read by:

    plain       a loop around a decoder: decode from the start, the 16 frames to RGB, in their own
                size; no resizing, no crop, no batches
    opencv      the same with OpenCV
    pipeline    `clips`: decode, crop, flip, resize, batch, normalize
    packed      `clips` from a packed set of frames in their own size
    packed for size    the same from a set packed for this size: short side 1.25 x size, if that is
                smaller

Each reads the same windows with the same number of threads, in turns, several times over. The
table shows medians. "CPU ms" is time of all cores together, which other work on the machine
disturbs least; "x plain" and "x files" are ratios of clips per second, and in brackets of CPU time.
"""

import argparse
import contextlib
import itertools
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_mtnet
from keras_mtnet.data import Videos, clips, draw_dataset, pack, read_split, sampling
from keras_mtnet.data.geometry import SCALE
from keras_mtnet.video import ReadCache, open_video

import av
import numpy as np
from av.video.reformatter import VideoReformatter

FRAMES, STRIDE, SEED, BATCH = 16, 4, 0, 8
# name -> width, height, suffix, codec, options
SOURCES = {
    "320x240 mpeg4": (320, 240, "avi", "mpeg4", {"g": "300", "b": "520k"}),
    "320x240 h264": (320, 240, "mp4", "libx264", {"crf": "23"}),
    "180x144 mpeg4": (180, 144, "avi", "mpeg4", {"g": "300", "b": "260k"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", help="class folders of videos to make the test videos of")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--sizes", nargs="+", type=int, default=[112, 224])
    parser.add_argument("--count", type=int, default=48, help="videos of each source")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", help="write the figures to this JSON file")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        originals = options.videos or draw_originals(Path(folder, "drawn"), options.count)
        for source in options.sources:
            root = Path(folder, source.replace(" ", "_"))
            make_videos(originals, root, options.count, *SOURCES[source])
            for size in options.sizes:
                contenders = make_contenders(root, size, options.threads)
                rows += measure(source, size, contenders, options.rounds)
                show(rows[-len(contenders) :])
    if options.output:
        about = {"machine": platform.processor(), "cpus": os.cpu_count(), "av": av.__version__}
        about |= {"version": keras_mtnet.__version__, "options": vars(options)}
        Path(options.output).write_text(json.dumps({"about": about, "rows": rows}, indent=1))


# --- Videos --------------------------------------------------------------------------------------


def draw_originals(root: Path, count: int) -> str:
    draw_dataset(str(root), groups=2, clips_per_group=max(1, count // 16), frames=150)
    return str(root)


def make_videos(
    originals: str,
    root: Path,
    count: int,
    width: int,
    height: int,
    suffix: str,
    codec: str,
    options: dict[str, str],
) -> None:
    """Writes videos of 150 to 300 frames, each of one original chosen at random."""
    paths = [video.path for video in read_split("folder", originals, subset="all")]
    rng = np.random.default_rng(SEED)
    for number in range(count):
        folder = root / f"class{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        frames = to_and_fro(paths[rng.integers(len(paths))], width, height)
        with av.open(str(folder / f"video{number:03d}.{suffix}"), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.thread_count = 1
            for place in range(int(rng.integers(150, 301))):
                frame = av.VideoFrame.from_ndarray(next(frames), "yuv420p")
                frame.pts, frame.time_base = place, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


def to_and_fro(path: str, width: int, height: int) -> Iterator[np.ndarray]:
    """The frames of a video as arrays of yuv420p, forwards, backwards, forwards ..."""
    with av.open(path) as container:
        frames = [
            frame.reformat(width, height, "yuv420p").to_ndarray()
            for frame in itertools.islice(container.decode(video=0), 300)
        ]
    return itertools.cycle(frames + frames[-2:0:-1])


# --- Contenders ----------------------------------------------------------------------------------


def make_contenders(root: Path, size: int, threads: int) -> dict[str, Callable[[int], int]]:
    """Name to a function that reads the windows of an epoch and returns how many there were."""

    def loop(read: Callable[[str, np.ndarray], np.ndarray]) -> Callable[[int], int]:
        def run(epoch: int) -> int:
            with ThreadPoolExecutor(threads) as pool:
                clips = pool.map(lambda window: read(*window), windows(videos, epoch, cache))
                return sum(len(clip) == FRAMES for clip in clips)

        return run

    def pipeline(videos: Videos) -> Callable[[int], int]:
        options = {"training": True, "seed": SEED, "strict": True, "parallel_calls": threads}
        dataset = clips(videos, FRAMES, STRIDE, size, BATCH, **options)
        # Iterated again, it goes on with the next epoch.
        return lambda epoch: sum(len(labels) for _, labels in dataset)

    videos, cache = read_several_times(root), ReadCache()
    contenders = {"plain": loop(plain), "pipeline": pipeline(videos)}
    with contextlib.suppress(ImportError):
        contenders["opencv"] = loop(opencv())
    for name, side in {"packed": 8192, "packed for size": round(SCALE * size)}.items():
        output = f"{root}_packed_{side}"
        pack("folder", str(root), output, shards=4, short_side=side)
        contenders[name] = pipeline(read_several_times(output))
    return contenders


def read_several_times(root: str | Path) -> Videos:
    """Each video three times, so that an epoch is long beside its start and end."""
    videos = read_split("folder", str(root), subset="all")
    return Videos([*videos] * 3, videos.class_names)


def windows(videos: Videos, epoch: int, cache: ReadCache) -> Iterator[tuple[str, np.ndarray]]:
    """The windows that `clips` reads in an epoch."""
    for place, choice in enumerate(sampling.epoch_order(SEED, epoch, len(videos))):
        u = sampling.sample_generator(SEED, epoch * len(videos) + place).random()
        path = videos[choice].path
        yield (
            path,
            sampling.random_window(open_video(path, cache=cache).frame_count, FRAMES, STRIDE, u),
        )


def plain(path: str, indices: np.ndarray) -> np.ndarray:
    """Decodes from the start; the frames of the window become RGB in their own size."""
    wanted, frames, reformatter = set(indices.tolist()), {}, VideoReformatter()
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                rgb = reformatter.reformat(frame, format="rgb24", threads=1)
                frames[number] = rgb.to_ndarray()
                if len(frames) == len(wanted):
                    break
    return np.stack([frames[number] for number in indices])


def opencv() -> Callable[[str, np.ndarray], np.ndarray]:
    """The same with OpenCV."""
    import cv2

    cv2.setNumThreads(1)

    def read(path: str, indices: np.ndarray) -> np.ndarray:
        wanted, frames = set(indices.tolist()), {}
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        for number in range(int(indices.max()) + 1):
            capture.grab()
            if number in wanted:
                frames[number] = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
        capture.release()
        return np.stack([frames[number] for number in indices])

    return read


# --- Measuring -----------------------------------------------------------------------------------


def measure(
    source: str, size: int, contenders: dict[str, Callable[[int], int]], rounds: int
) -> list[dict]:
    """Runs all in turns, an epoch a round; the first one, not counted, fills caches."""
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            start, busy = time.perf_counter(), time.process_time()
            count = run(number)
            if number:
                wall[name].append((time.perf_counter() - start) / count)
                cpu[name].append((time.process_time() - busy) / count)

    def ratio(times: dict[str, list[float]], of: str, to: str) -> float:
        pairs = zip(times[to], times[of], strict=True)
        return statistics.median(b / a for b, a in pairs)

    return [
        {
            "source": source,
            "size": size,
            "reader": name,
            "clips_per_second": 1 / statistics.median(wall[name]),
            "cpu_ms": 1e3 * statistics.median(cpu[name]),
            "x_plain": ratio(wall, name, "plain"),
            "x_plain_cpu": ratio(cpu, name, "plain"),
            "x_files": ratio(wall, name, "pipeline"),
            "x_files_cpu": ratio(cpu, name, "pipeline"),
        }
        for name in contenders
    ]


def show(rows: list[dict]) -> None:
    print(
        f"\n{rows[0]['source']}, clips of {FRAMES} frames, stride {STRIDE}, size {rows[0]['size']}"
    )
    print(f"{'':16}{'clips/s':>9}{'CPU ms':>9}{'x plain':>16}{'x files':>16}")
    for row in rows:
        print(
            f"{row['reader']:16}{row['clips_per_second']:9.1f}{row['cpu_ms']:9.2f}"
            f"{row['x_plain']:8.2f} ({row['x_plain_cpu']:5.2f})"
            f"{row['x_files']:8.2f} ({row['x_files_cpu']:5.2f})",
            flush=True,
        )
    if not any(row["reader"] == "opencv" for row in rows):
        print("opencv was left out: opencv-python-headless is not installed")


if __name__ == "__main__":
    main()
