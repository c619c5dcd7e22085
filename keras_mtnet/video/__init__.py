"""Videos: opening, indexing, decoding and checking them, with PyAV and NumPy alone."""

from keras_mtnet.video.array_video import ArrayVideo
from keras_mtnet.video.check import VideoCheck, check_videos
from keras_mtnet.video.frame_folder import FrameFolder
from keras_mtnet.video.opening import count_frames, open_video, read_frames
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.source import EndsEarly, VideoError, VideoSource
from keras_mtnet.video.video_file import VideoFile

__all__ = [
    "ArrayVideo",
    "EndsEarly",
    "FrameFolder",
    "ReadCache",
    "VideoCheck",
    "VideoError",
    "VideoFile",
    "VideoSource",
    "check_videos",
    "count_frames",
    "open_video",
    "read_frames",
]
