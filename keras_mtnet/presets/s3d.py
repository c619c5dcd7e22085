"""Published weights of S3D."""

from keras_mtnet.presets.preset import Preset
from keras_mtnet.presets.resnet3d import TORCHVISION_VIDEO

PRESETS = (
    Preset(
        model="S3D",
        file="s3d_kinetics400.weights.h5",
        frames=128,
        stride=1,
        size=224,
        checkpoint="https://download.pytorch.org/models/s3d-d76dad2f.pth",
        checkpoint_sha256="d76dad2f",
        top1=68.368,
        top5=88.05,
        protocol=(
            "1 clip of 128 frames at 15 frames a second per video, frames resized to 256x256, "
            "central crop 224"
        ),
        source="https://github.com/pytorch/vision/tree/main/references/video_classification#s3d",
        notes="Clips of 128 frames are those of the stated accuracy; shorter ones also work.",
        **TORCHVISION_VIDEO,
    ),
)
