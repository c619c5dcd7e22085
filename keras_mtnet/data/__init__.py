"""Video data: catalogs of data sets, decoding, augmentation, clips as `tf.data`."""

from keras_mtnet.data.augment import Augment
from keras_mtnet.data.catalog import read_split
from keras_mtnet.data.decode import VideoError, count_frames, read_frames
from keras_mtnet.data.pipeline import ReadReport, clips, clips_from_directory, read_clip, views
from keras_mtnet.data.synthetic import draw_dataset
from keras_mtnet.data.videos import STRIDES, Video, Videos, read_videos

__all__ = [
    "STRIDES",
    "Augment",
    "ReadReport",
    "Video",
    "VideoError",
    "Videos",
    "clips",
    "clips_from_directory",
    "count_frames",
    "draw_dataset",
    "read_clip",
    "read_frames",
    "read_split",
    "read_videos",
    "views",
]
