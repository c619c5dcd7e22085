"""Fine-tunes I3D, trained on Kinetics-400, on J-HMDB: frozen features, then all layers.

    python examples/finetune_jhmdb.py --root JHMDB --output runs/jhmdb

Plain Keras on three folds. `JHMDB` is in UCF-101's layout: `JHMDB/<Class>/<video>`, `classInd.txt`,
`trainlist01.txt` to `testlist03.txt`. J-HMDB's clips are short (15 to 40 frames), so 32 neighboring
frames see nearly all of one. Frozen features take one pass over the clips per view; on two CPU
cores a clip takes about a second. Fine-tuning all layers wants a GPU; `--epochs 0` leaves it out,
and `--train_from stage3` trains the last stage alone. What was reached: docs/results.md.
"""

import os

import keras_mtnet as mt  # before TensorFlow: it switches on fast CPU kernels
from keras_mtnet.data.augment import Augment
from keras_mtnet.data.groups import find_groups

import keras
import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("root", None, "folder with one folder per class and the lists", required=True)
flags.DEFINE_string("output", None, "folder for checkpoints and models", required=True)
flags.DEFINE_list("folds", ["1", "2", "3"], "which of the lists")
flags.DEFINE_string("weights", "kinetics400", "of I3D: the preset, or the checkpoint's path")
flags.DEFINE_integer("frames", 32, "frames per clip, one after the other")
flags.DEFINE_integer("size", 224, "height and width of a clip")
flags.DEFINE_integer("views", 2, "random clips of each video for the frozen features")
flags.DEFINE_integer("epochs", 10, "of fine-tuning")
flags.DEFINE_string("train_from", "stem", "first part to fine-tune: stem, stage1, stage2, stage3")
flags.DEFINE_float("learning_rate", 1e-4, "of fine-tuning, at its peak")
flags.DEFINE_integer("batch_size", 8, "clips per step")
flags.DEFINE_integer("num_clips", 10, "test views: windows of each video ...")
flags.DEFINE_integer("num_crops", 3, "... and crops of each window")
flags.DEFINE_string("precision", "mixed_bfloat16", "float32 is slower, and no more accurate here")

# A clip shows between six tenths and all of the frame, and is mirrored half of the time.
AUGMENT = Augment(crop_area=(0.6, 1.0), flip=0.5)
PARTS = ["stem", "stage1", "stage2", "stage3", "predictions"]


def main(_: list[str]) -> None:
    keras.mixed_precision.set_global_policy(FLAGS.precision)
    accuracies = [run_fold(int(fold)) for fold in FLAGS.folds]
    print(f"mean top-1 of {len(accuracies)} folds: {np.mean(accuracies):.3f}")


def run_fold(fold: int) -> float:
    """Trains on one fold, and returns the accuracy on its test videos."""
    keras.utils.set_random_seed(fold)
    train_videos, test_videos = (
        mt.data.read_split("ucf101", root=FLAGS.root, split=fold, subset=subset)
        for subset in ("train", "test")
    )
    model = mt.I3D(
        classes=len(train_videos.class_names),
        input_shape=(FLAGS.frames, FLAGS.size, FLAGS.size, 3),
        dropout_rate=0.5,
    )
    mt.weights.load_weights(model, mt.presets.lookup("I3D", FLAGS.weights))  # all but the head

    # 1. Frozen features: what the classifier receives. Computed once, they make its training free.
    body = keras.Model(model.inputs, model.get_layer("predictions").input)
    features, labels, groups = features_of(body, train_videos)
    smoothing = choose_smoothing(features, labels, groups)
    train_head(model, features, labels, smoothing)
    print(f"fold {fold}, frozen features, label smoothing {smoothing}: {test(model, test_videos)}")

    # 2. All layers, from there. The small data set would spoil the statistics of batch
    # normalization, so they stay as Kinetics made them.
    if FLAGS.epochs:
        fine_tune(model, train_videos, smoothing, os.path.join(FLAGS.output, f"fold{fold}"))
    top1 = test(model, test_videos)
    print(f"fold {fold}, after {FLAGS.epochs} epochs of fine-tuning: {top1}")
    return top1


def clips_of(videos: mt.data.Videos, **options) -> "tf.data.Dataset":  # noqa: F821
    """Random clips: other windows, crops and mirrorings in each pass."""
    return mt.data.clips(
        videos,
        frames=FLAGS.frames,
        stride=1,
        size=FLAGS.size,
        batch_size=FLAGS.batch_size,
        training=True,
        augment=AUGMENT,
        seed=0,
        **options,
    )


def features_of(body: keras.Model, videos: mt.data.Videos) -> tuple[np.ndarray, ...]:
    """Features `(n, 1024)` of `--views` random clips of each video, with labels and groups."""
    names, _ = find_groups((video.name, video.label) for video in videos)  # films
    data, features, labels, groups = clips_of(videos), [], [], []
    for epoch in range(FLAGS.views):
        for step, (clips, of_clips) in enumerate(data):
            features.append(body.predict_on_batch(clips))
            labels.append(of_clips)
            groups += [names[name] for name in data.batch_names(epoch, step)]
    return np.concatenate(features), np.concatenate(labels), np.array(groups)


def choose_smoothing(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """The label smoothing that is best on a quarter of the training films. No test film is seen."""
    films = np.random.default_rng(0).permutation(np.unique(groups))
    held_out = np.isin(groups, films[: max(1, len(films) // 4)])
    losses = {}
    for smoothing in (0.0, 0.1, 0.2):
        head = classifier_of(
            features[~held_out], labels[~held_out], int(labels.max()) + 1, smoothing
        )
        head.compile(loss="sparse_categorical_crossentropy")
        losses[smoothing] = head.evaluate(features[held_out], labels[held_out], verbose=0)
    return min(losses, key=losses.get)


def classifier_of(features: np.ndarray, labels: np.ndarray, classes: int, smoothing: float):
    """Logistic regression of standardized features."""
    mean, variance = features.mean(axis=0), features.var(axis=0) + 1e-6
    head = keras.Sequential(
        [
            keras.Input(features.shape[1:]),
            keras.layers.Normalization(mean=mean, variance=variance, dtype="float32"),
            keras.layers.Dense(
                classes, "softmax", kernel_regularizer=keras.regularizers.L2(0.1), dtype="float32"
            ),
        ]
    )
    head.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 100)),
        keras.losses.CategoricalCrossentropy(label_smoothing=smoothing),
    )
    targets = keras.utils.to_categorical(labels, classes)
    head.fit(features, targets, batch_size=len(features), epochs=100, verbose=0)
    return head


def train_head(
    model: keras.Model, features: np.ndarray, labels: np.ndarray, smoothing: float
) -> None:
    """Gives the model the classifier of its features; the standardization goes into the kernel."""
    predictions = model.get_layer("predictions")
    head = classifier_of(features, labels, predictions.units, smoothing)
    kernel, bias = head.layers[-1].get_weights()
    kernel /= np.sqrt(features.var(axis=0) + 1e-6)[:, None]
    predictions.set_weights([kernel, bias - features.mean(axis=0) @ kernel])


def fine_tune(model: keras.Model, videos: mt.data.Videos, smoothing: float, output: str) -> None:
    """Trains the layers from `--train_from` on; the same command continues after a stop."""
    trained = tuple(PARTS[PARTS.index(FLAGS.train_from) :])
    for layer in model.layers:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name.startswith(trained) and not norm
    data = clips_of(videos, label_mode="categorical")
    schedule = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, FLAGS.epochs * len(data))
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.01),
        keras.losses.CategoricalCrossentropy(label_smoothing=smoothing),
        metrics=["accuracy"],
    )
    os.makedirs(output, exist_ok=True)
    callbacks = [mt.callbacks.ExactResume(output), mt.callbacks.StopOnNaN()]
    model.fit(data, epochs=FLAGS.epochs, shuffle=False, callbacks=callbacks)
    model.save(os.path.join(output, "model.keras"))


def test(model: keras.Model, videos: mt.data.Videos) -> float:
    """Top-1 by the mean score of several views of each video."""
    views = {"num_clips": FLAGS.num_clips, "num_crops": FLAGS.num_crops, "stride": 1}
    return round(mt.evaluate_views(model, videos, **views).top1, 3)


if __name__ == "__main__":
    app.run(main)
