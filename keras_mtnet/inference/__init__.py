"""What a trained network says about videos."""

from keras_mtnet.inference.annotate import annotate_video
from keras_mtnet.inference.camera import predict_camera
from keras_mtnet.inference.evaluate import evaluate_views
from keras_mtnet.inference.predict import predict_video
from keras_mtnet.inference.timeline import Timeline, predict_timeline

__all__ = [
    "Timeline",
    "annotate_video",
    "evaluate_views",
    "predict_camera",
    "predict_timeline",
    "predict_video",
]
