"""Fine-tunes an MTNet on UCF-101 in plain Keras, with the settings of the paper (Section IV-F).

    python examples/finetune_ucf101.py --root UCF-101 --annotations ucfTrainTestlist \\
        --weights hacs --output runs/ucf101

Any folder in the layout of UCF-101 works: `root/<Class>/<video>` and its three lists. Stop it
whenever you like: the same command continues with the next batch. The paper reports top-1
94.2 / 95.4 / 97.4 % for MTNet-S / M / L trained on HACS first; not measured with this package.
"""

import os

import keras_mtnet as mt  # before TensorFlow: it switches on fast CPU kernels

import keras
import tensorflow as tf
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("root", None, "folder with one folder per class", required=True)
flags.DEFINE_string("annotations", None, "folder of the lists, if they are not in the root")
flags.DEFINE_integer("split", 1, "official split, 1 to 3")
flags.DEFINE_string("output", None, "folder for checkpoints, history and the model", required=True)
flags.DEFINE_string("model", "MTNetM", "MTNetS, MTNetM or MTNetL")
flags.DEFINE_string("weights", None, "name of a preset, file or run; None trains from scratch")
flags.DEFINE_integer("frames", 16, "frames per clip")
flags.DEFINE_integer("size", 224, "height and width of a clip")
flags.DEFINE_integer("batch_size", 16, "clips per step on all GPUs together")
flags.DEFINE_integer("epochs", 150, "passes over the training videos")
flags.DEFINE_float("base_learning_rate", 0.01, "for 64 clips per step; scaled with --batch_size")
flags.DEFINE_string("precision", "float32", "on GPUs mixed_float16 or mixed_bfloat16 is faster")
flags.DEFINE_integer("seed", 0, "of weights, order and clips")


def main(_: list[str]) -> None:
    keras.utils.set_random_seed(FLAGS.seed)
    keras.mixed_precision.set_global_policy(FLAGS.precision)
    os.makedirs(FLAGS.output, exist_ok=True)

    # The official lists; videos of one recording are never on both sides.
    lists = {"root": FLAGS.root, "annotations": FLAGS.annotations, "split": FLAGS.split}
    train_videos = mt.data.read_split("ucf101", subset="train", **lists)
    test_videos = mt.data.read_split("ucf101", subset="test", **lists)

    # uint8 clips; random windows, crops and flips for training, the middle of each video for tests.
    clips = {"frames": FLAGS.frames, "size": FLAGS.size, "batch_size": FLAGS.batch_size}
    train = mt.data.clips(train_videos, training=True, seed=FLAGS.seed, **clips)
    test = mt.data.clips(test_videos, **clips)

    with tf.distribute.MirroredStrategy().scope():  # all GPUs of this machine
        model = getattr(mt, FLAGS.model)(
            weights=FLAGS.weights,
            classes=len(train.class_names),  # another than the file's: a new head
            input_shape=(FLAGS.frames, FLAGS.size, FLAGS.size, 3),
        )
        learning_rate = keras.optimizers.schedules.CosineDecay(
            FLAGS.base_learning_rate * FLAGS.batch_size / 64, FLAGS.epochs * len(train)
        )
        # The new head learns ten times as fast as the rest; the first pattern that fits counts.
        optimizer = mt.optimizers.LayerwiseSGD(
            learning_rate, weight_decay=1e-4, lr_multipliers=[("predictions", 1.0), ("", 0.1)]
        )
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    # Test clips are watched, and nothing is chosen by them: the last epoch counts.
    model.fit(
        train,
        validation_data=test,
        epochs=FLAGS.epochs,
        callbacks=[
            mt.callbacks.ExactResume(FLAGS.output),
            mt.callbacks.StopOnNaN(),
            keras.callbacks.CSVLogger(os.path.join(FLAGS.output, "history.csv"), append=True),
        ],
    )
    model.save(os.path.join(FLAGS.output, "model.keras"))

    # As in the paper: 10 clips x 3 crops per video, scores averaged.
    print(mt.evaluate_views(model, test_videos, num_clips=10, num_crops=3))


if __name__ == "__main__":
    app.run(main)
