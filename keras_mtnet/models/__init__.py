"""Video networks, and what goes with them."""

import keras  # noqa: F401  before our own modules: see keras_mtnet/__init__.py

from keras_mtnet.models.blvnet_tam import BLVNetTAM50
from keras_mtnet.models.builder import build
from keras_mtnet.models.csn import IPCSN101, IPCSN152, IRCSN101, IRCSN152
from keras_mtnet.models.i3d import I3D
from keras_mtnet.models.mfnet import MFNet
from keras_mtnet.models.mtnet import MTNet, MTNetL, MTNetM, MTNetS, MTNetXS
from keras_mtnet.models.preprocessing import decode_predictions, preprocess_input
from keras_mtnet.models.r2plus1d import (
    NarrowR2Plus1D50,
    NarrowR2Plus1D101,
    R2Plus1D18,
    R2Plus1D34,
    R2Plus1D50,
)
from keras_mtnet.models.resnet3d import (
    MC3_18,
    R3D18,
    NarrowR3D50,
    NarrowR3D101,
    ResNet3D18,
    ResNet3D34,
    ResNet3D50,
    ResNet3D101,
)
from keras_mtnet.models.s3d import S3D
from keras_mtnet.models.slow_only import SlowOnly50
from keras_mtnet.models.slowfast import SlowFast50, SlowFast101
from keras_mtnet.models.srtg import (
    SRTGR3D34,
    SRTGR3D50,
    SRTGR3D101,
    SRTGR2Plus1D34,
    SRTGR2Plus1D50,
    SRTGR2Plus1D101,
)
from keras_mtnet.models.tsm import TSM50
from keras_mtnet.models.video_model import VideoModel, clip_spec_of, feature_extractor, load_model
from keras_mtnet.models.x3d import X3DL, X3DM, X3DS, X3DXL, X3DXS

__all__ = [
    "I3D",
    "IPCSN101",
    "IPCSN152",
    "IRCSN101",
    "IRCSN152",
    "MC3_18",
    "R3D18",
    "S3D",
    "SRTGR3D34",
    "SRTGR3D50",
    "SRTGR3D101",
    "TSM50",
    "X3DL",
    "X3DM",
    "X3DS",
    "X3DXL",
    "X3DXS",
    "BLVNetTAM50",
    "MFNet",
    "MTNet",
    "MTNetL",
    "MTNetM",
    "MTNetS",
    "MTNetXS",
    "NarrowR2Plus1D50",
    "NarrowR2Plus1D101",
    "NarrowR3D50",
    "NarrowR3D101",
    "R2Plus1D18",
    "R2Plus1D34",
    "R2Plus1D50",
    "ResNet3D18",
    "ResNet3D34",
    "ResNet3D50",
    "ResNet3D101",
    "SRTGR2Plus1D34",
    "SRTGR2Plus1D50",
    "SRTGR2Plus1D101",
    "SlowFast50",
    "SlowFast101",
    "SlowOnly50",
    "VideoModel",
    "build",
    "clip_spec_of",
    "decode_predictions",
    "feature_extractor",
    "load_model",
    "preprocess_input",
]
