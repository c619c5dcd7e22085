"""What a trained network says about videos."""

from keras_mtnet.inference.evaluate import evaluate_views
from keras_mtnet.inference.predict import predict_video

__all__ = ["evaluate_views", "predict_video"]
