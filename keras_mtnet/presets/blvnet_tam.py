"""Published weights of bLVNet-TAM."""

from keras_mtnet.presets.preset import IMAGENET, Preset

# version of Something-Something, pairs of frames, top-1
_PUBLISHED = ((1, 8, 46.4), (1, 16, 48.4), (2, 8, 59.1), (2, 16, 61.7))

PRESETS = tuple(
    Preset(
        model="BLVNetTAM50",
        weights=f"something_v{version}_{pairs}x2",
        dataset=f"Something-Something v{version}",
        classes=174,
        normalization=IMAGENET,
        file=f"blvnet_tam50_something_v{version}_{pairs}x2.weights.h5",
        frames=2 * pairs,
        size=224,
        sampling="uniform",
        checkpoint=f"https://ibm.box.com/v/st2stv{version}-bLVNet-TAM-50-f{pairs}x2",
        code_license="none stated (bLVNet-TAM)",
        weights_license="none stated",
        top1=top1,
        protocol="one central crop of one frame from each part of the video",
        measured_by="the authors (README of the source); not measured again here",
        source="https://github.com/IBM/bLVNet-TAM",
        notes="Top-5 accuracy and the order of the classes are not stated.",
    )
    for version, pairs, top1 in _PUBLISHED
)
