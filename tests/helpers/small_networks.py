"""A small network whose scores differ, and the views it sees."""

import keras
import numpy as np

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.layers.clip_normalization import ClipNormalization

ONE = {"num_clips": 1, "num_crops": 1}


def stand_in(classes: int = 8, shape=(4, 16, 16, 3), activation="softmax", spec=None, seed=0):
    """A small 3-D CNN with random weights whose scores differ."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    x = ClipNormalization((0.5,) * 3, (0.5,) * 3, clip_spec=spec)(inputs)
    x = keras.layers.Conv3D(4, (2, 3, 3), activation="relu")(x)
    x = keras.layers.GlobalAveragePooling3D()(x)
    init = keras.initializers.RandomNormal(stddev=3)
    return keras.Model(inputs, keras.layers.Dense(classes, activation, kernel_initializer=init)(x))


def views_of(video, stride=2, num_clips=3, num_crops=2, **options) -> np.ndarray:
    return ClipReader(ClipSpec(4, stride, 16, **options)).views(video, num_clips, num_crops)


COLORS = ("red", "green", "blue")


def color_network(activation="softmax", frames=4, **spec):
    """Names the color of a clip, whose frames are of one."""
    inputs = keras.Input((frames, 16, 16, 3))
    spec = ClipSpec(class_names=COLORS, **{"stride": 5, **spec})
    x = ClipNormalization((0.5,) * 3, (0.5,) * 3, clip_spec=spec)(inputs)
    x = keras.layers.GlobalAveragePooling3D()(x)
    x = keras.layers.Dense(3, name="head")(x)
    model = keras.Model(inputs, keras.layers.Activation(activation)(x))
    model.get_layer("head").set_weights([4 * np.eye(3), np.zeros(3)])
    return model


def colored(*parts):
    """Frames of colors, by their numbers and how many."""
    frames = np.zeros((sum(count for _, count in parts), 48, 64, 3), "uint8")
    first = 0
    for color, count in parts:
        frames[first : first + count, ..., color] = 255
        first += count
    return frames
