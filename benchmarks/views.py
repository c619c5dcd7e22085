"""Whether more views test better: 1 to 30 views per video, the same network.

    python benchmarks/views.py --root weizmann
    python benchmarks/views.py --root jhmdb

The folder holds videos in UCF-101's layout with their lists. The network is I3D with Kinetics-400
weights, frozen, and a linear head that is trained on random views of the training videos; each seed
draws other views and another head. Views are those of `evaluate_views`.
"""

import argparse
from collections import Counter

import i3d_views
import keras_mtnet as mt
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.clip_reader import ClipDraws, ClipReader

import keras
import numpy as np

VIEWS = ((1, 1), (1, 3), (10, 1), (10, 3))
FRAMES, STRIDE = 16, 2
TRAINING_VIEWS = 3  # of each training video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of videos and lists")
    parser.add_argument("--size", type=int, default=112, help="of a clip, in pixels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--per_class", type=int, help="training videos of each class (all)")
    parser.add_argument("--test_per_class", type=int, help="test videos of each class (all)")
    arguments = parser.parse_args()
    train, tests = (
        first_of_each(mt.data.read_split("ucf101", arguments.root, subset=subset), count)
        for subset, count in (("train", arguments.per_class), ("test", arguments.test_per_class))
    )
    network = mt.I3D(
        weights="kinetics400",
        include_top=False,
        pooling="avg",
        input_shape=(FRAMES, arguments.size, arguments.size, 3),
        dtype=i3d_views.fastest_dtype(),
    )
    reader = ClipReader(ClipSpec(FRAMES, STRIDE, arguments.size))
    print(f"{len(train)} training and {len(tests)} test videos", flush=True)
    features = {}
    for clips in (1, 10):  # all crops of the first window come first, the center second
        found = [embed(network, reader.views(video, clips, 3)) for video in tests]
        features |= {(clips, 3): found, (clips, 1): [views[1::3] for views in found]}
    labels = np.array([video.label for video in tests])
    rows = []
    for seed in range(arguments.seeds):
        head = train_head(network, reader, train, seed)
        rows.append(
            [
                np.mean([head(f).mean(axis=0).argmax() for f in features[views]] == labels)
                for views in VIEWS
            ]
        )
        shown = "   ".join(f"{c} x {k}: {x:.4f}" for (c, k), x in zip(VIEWS, rows[-1], strict=True))
        print(f"seed {seed}   {shown}", flush=True)
    means = zip(VIEWS, np.mean(rows, axis=0), strict=True)
    print("mean     " + "   ".join(f"{c} x {k}: {x:.4f}" for (c, k), x in means))


def first_of_each(videos, count):
    """So many videos of each class, or all."""
    seen: Counter = Counter()
    chosen = []
    for video in videos:
        seen[video.label] += 1
        if count is None or seen[video.label] <= count:
            chosen.append(video)
    return mt.data.Videos(chosen, videos.class_names, dataset="ucf101")


def embed(network, clips):
    return network.predict(clips, batch_size=8, verbose=0).astype("float32")


def train_head(network, reader, videos, seed):
    """A softmax over standardized features of random views of each video; as a function."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    views = (
        np.stack([reader.random_clip(video, ClipDraws.draw(rng, FRAMES)) for video in videos])
        for _ in range(TRAINING_VIEWS)
    )
    found = np.concatenate([embed(network, clips) for clips in views])
    mean, deviation = found.mean(axis=0), found.std(axis=0) + 1e-3
    head = keras.Sequential(
        [
            keras.Input(found.shape[1:]),
            keras.layers.Dense(
                len(videos.class_names), "softmax", kernel_regularizer=keras.regularizers.L2(1e-3)
            ),
        ]
    )
    head.compile("adam", "sparse_categorical_crossentropy")
    labels = np.array([video.label for video in videos] * TRAINING_VIEWS)
    head.fit((found - mean) / deviation, labels, batch_size=len(videos), epochs=200, verbose=0)
    return lambda x: head.predict((x - mean) / deviation, verbose=0)


if __name__ == "__main__":
    main()
