"""Views of short clips, and I3D's features and scores of them, kept so that each is computed once.

A view is a square of the full height, 32 frames long, at stride 2 where the video has 64 frames
and 1 where it has fewer. View 0 is the middle of the video and of the frame. View 1 is the start,
the right end, mirrored, and view 2 the end, the left end.
"""

from collections.abc import Sequence
from pathlib import Path

import keras_mtnet as mt
from keras_mtnet.benchmark.machine import describe
from keras_mtnet.data.videos import Video
from keras_mtnet.files import write_beside

import keras
import numpy as np

FRAMES, SIZE, BATCH = 32, 224, 4
# Place of the square from left to right, of the window from start to end, and mirrored or not.
VIEWS = ((0.5, 0.5, False), (1.0, 0.0, True), (0.0, 1.0, False))


def read_view(video: Video, view: int) -> np.ndarray:
    """The frames of a view, uint8 `(32, 224, 224, 3)`."""
    across, along, mirrored = VIEWS[view]
    with video.open() as source:
        count = source.frame_count
        stride = 2 if count >= 2 * FRAMES else 1
        start = round(along * max(0, count - (FRAMES - 1) * stride - 1))
        frames = (start + np.arange(FRAMES) * stride) % count

        def boxes(height: int, width: int) -> list[tuple[int, int, int, int]]:
            side = min(height, width)
            return [(round((height - side) / 2), round(across * (width - side)), side, side)]

        return source.read(frames, boxes, (SIZE, SIZE), mirrored)[:, 0]


def cached(videos: Sequence[Video], folder: Path, view: int, weights: str) -> dict[str, np.ndarray]:
    """I3D's outputs of a view of all videos, float16, from the folder or computed into it.

    `map` is the output of `stage3_pool` `(n, 4, 7, 7, 832)`, `feat` what the classifier
    receives `(n, 1024)`, `score` the scores of Kinetics' classes `(n, 400)`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"pass{view}.{name}.npy" for name in ("map", "feat", "score")}
    if not all(path.exists() for path in paths.values()):
        shape = (FRAMES, SIZE, SIZE, 3)
        i3d = mt.I3D(weights=weights, input_shape=shape, dtype=fastest_dtype())
        layers = i3d.get_layer("stage3_pool").output, i3d.get_layer("predictions").input
        network = keras.Model(i3d.inputs[0], [*layers, i3d.output])
        parts = []
        for first in range(0, len(videos), BATCH):
            batch = [read_view(video, view) for video in videos[first : first + BATCH]]
            outputs = network.predict_on_batch(np.stack(batch))
            parts.append([np.asarray(output).astype("float16") for output in outputs])
            print(f"\rview {view}: {first + len(batch)} of {len(videos)}", end="", flush=True)
        print()
        for path, arrays in zip(paths.values(), zip(*parts, strict=True), strict=True):
            with write_beside(path) as beside:
                np.save(beside, np.concatenate(arrays))
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items()}


def fastest_dtype() -> str:
    """bfloat16 halves the time on processors with instructions for it, and is slow on others."""
    return "mixed_bfloat16" if "avx512_bf16" in describe()["instructions"] else "float32"


def read_all(root: Path) -> list[Video]:
    """All videos of a set in UCF-101's layout, by name: the order of the cache."""
    found = [
        video
        for subset in ("train", "test")
        for video in mt.data.read_split("ucf101", root=str(root), split=1, subset=subset)
    ]
    return sorted(found, key=lambda video: video.name)


def places(root: Path, videos: Sequence[Video], split: int, subset: str) -> np.ndarray:
    """Where the videos of an official list are among all."""
    where = {video.name: place for place, video in enumerate(videos)}
    listed = mt.data.read_split("ucf101", root=str(root), split=split, subset=subset)
    return np.array([where[video.name] for video in listed])
