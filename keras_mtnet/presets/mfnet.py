"""Published weights of MF-Net."""

from keras_mtnet.presets.preset import MTNET, Preset

PRESETS = (
    Preset(
        model="MFNet",
        weights="kinetics400",
        dataset="Kinetics-400",
        classes=400,
        normalization=MTNET,  # of MXNet
        file="mfnet_kinetics400.weights.h5",
        frames=16,
        stride=2,
        size=224,
        checkpoint="https://goo.gl/QdE85T",
        code_license="MIT (PyTorch-MFNet)",
        weights_license="not stated for the checkpoint; the repository is MIT",
        top1=72.8,
        protocol="not stated; training validated on one clip per video, resized to 256x256",
        measured_by="the authors (README of the source); not measured again here",
        source="https://github.com/cypw/PyTorch-MFNet",
        notes=(
            "The order of the classes is not stated. The same README has checkpoints that were "
            "fine-tuned on UCF-101 and HMDB-51; they convert with output=... alike."
        ),
    ),
)
