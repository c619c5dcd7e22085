"""SlowFast: a slow pathway of few frames, and a fast, thin one that hands over what it sees."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_mtnet.layers.slow_frames import SlowFrames
from keras_mtnet.models import slow_only
from keras_mtnet.models.builder import Weights, begin, classifier, pool, sized
from keras_mtnet.models.parts import conv_norm_relu
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import PYTORCHVIDEO, Preset
from keras_mtnet.weights.torch import Rules

FAST_SHARE = 8  # channels of the slow pathway for each of the fast
FUSED = 2  # channels handed over for each of the fast
FAST_FRAMES = 3  # of the first kernels of all blocks, where FRAMES are those of the slow pathway
FAST_STEM_FRAMES = 5


@dataclasses.dataclass(frozen=True)
class Variant:
    """What differs between published networks of one depth."""

    speed: int  # frames of the fast pathway for each of the slow
    fusion_frames: int  # of the kernel that hands over
    temporal_blocks: int  # of the third stage, how many span several frames


@dataclasses.dataclass(frozen=True)
class Size(slow_only.Size):
    """A member of the family. The first of its variants is the default."""

    variants: Mapping[str, Variant] = dataclasses.field(kw_only=True)


# How PyTorch code bases name the weights; see keras_mtnet/weights/torch.py.
_PATHWAY = {"slow": 0, "fast": 1}
TORCH_KEYS: dict[str, Rules] = {
    "pytorchvideo": (
        (r"^stem_fuse", "stage0_fuse"),
        (r"^stage(\d)_fuse_conv/", r"blocks.\1.multipathway_fusion.conv_fast_to_slow/"),
        (r"^stage(\d)_fuse_bn/", r"blocks.\1.multipathway_fusion.norm/"),
        (r"^stem_(slow|fast)_", lambda m: f"blocks.0.multipathway_blocks.{_PATHWAY[m[1]]}."),
        (r"^(blocks\.0.*)\.bn/", r"\1.norm/"),
        (
            r"^stage(\d)_(slow|fast)_block(\d+)_",
            lambda m: (
                f"blocks.{m[1]}.multipathway_blocks.{_PATHWAY[m[2]]}.res_blocks.{int(m[3]) - 1}."
            ),
        ),
        *slow_only.PYTORCHVIDEO_BLOCK,
        (r"^predictions/", "blocks.6.proj/"),
    ),
    "PySlowFast": (
        (r"^stem_fuse", "stage0_fuse"),
        (r"^stage(\d)_fuse_conv/", lambda m: f"s{int(m[1]) + 1}_fuse.conv_f2s/"),
        (r"^stage(\d)_fuse_bn/", lambda m: f"s{int(m[1]) + 1}_fuse.bn/"),
        (r"^stem_(slow|fast)_(conv|bn)/", lambda m: f"s1.pathway{_PATHWAY[m[1]]}_stem.{m[2]}/"),
        (
            r"^stage(\d)_(slow|fast)_block(\d+)_",
            lambda m: f"s{int(m[1]) + 1}.pathway{_PATHWAY[m[2]]}_res{int(m[3]) - 1}.",
        ),
        *slow_only.PYSLOWFAST_BLOCK,
    ),
}


def slowfast(
    size: Size,
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    *,
    variant: str | None = None,
    non_local: bool = False,
    include_preprocessing: bool = True,
    dropout_rate: float = 0.5,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """The network takes one clip, of which the slow pathway sees every fourth or eighth frame, from
    the first to the last. Height and width are divided by 32. The outputs of a stage, of the layer
    `stage1_pathways`, are those of both pathways.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: the name of a preset (`list_presets("MODEL")`), None and files as in `MTNet`.
        pooling: without the top: None for the feature maps of the slow and the fast pathway,
            `(N, T/4 or T/8, H/32, W/32, 2048)` and `(N, T, H/32, W/32, 256)`; `"avg"` or `"max"`
            for `(N, 2304)`.
        classes: number of classes; those of the weights, else 400, when None.
        variant: of SlowFast-50 `"8x8"`, whose slow pathway takes 8 frames of 32, or `"4x16"`, where
            it takes 4; of SlowFast-101 `"paper"`, where the first six blocks of the third stage
            span several frames, or `"pytorchvideo"`, where all 23 do. None is what a preset was
            trained for, else the first of the two.
        non_local: whether non-local blocks in the slow pathway compare all positions with all:
            three in the third stage, or five in the second and third with 50 layers. No weights
            are published.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. Features are averaged over the whole clip before the classifier, whatever
        its size; for crops larger than those of training, the published code averages scores over
        places.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019.

    Example:

    >>> import keras_mtnet as mt
    >>> [preset.weights for preset in mt.list_presets("SlowFast50")]  # SlowFast50(weights=...)
    ['kinetics400', 'kinetics400_4x16']
    """
    draft = begin(
        *(size.model, include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=PYTORCHVIDEO,
        default_classes=slow_only.CLASSES,
        options={"variant": variant},
    )
    if isinstance(draft.weights, Preset):
        variant = draft.weights.options["variant"]
    variant = next(iter(size.variants)) if variant is None else variant
    if variant not in size.variants:
        raise ValueError(
            f"variant must be one of {', '.join(size.variants)}. Received: variant={variant!r}"
        )
    norm = {"synchronized": synchronized, "dtype": dtype}
    x = _pathways(draft.clips, size, size.variants[variant], non_local, norm)
    if include_top or pooling:
        kind = "avg" if include_top else pooling
        pooled = [pool(y, kind, dtype, f"head_{p}_pool") for y, p in zip(x, _PATHWAY, strict=True)]
        x = keras.layers.Concatenate(dtype=dtype, name="head_join")(pooled)
    if include_top:
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name or size.name, slow_only.keys_of(TORCH_KEYS, non_local))


def _pathways(x: Any, size: Size, variant: Variant, non_local: bool, norm: dict[str, Any]) -> Any:
    """Clips `(N, T, H, W, 3)` to the last feature maps of both pathways."""
    slow = SlowFrames(variant.speed, dtype=norm["dtype"], name="stem_slow_frames")(x)
    slow = slow_only.stem(slow, size.filters[0], 1, "stem_slow", norm)
    fast = slow_only.stem(x, size.filters[0] // FAST_SHARE, FAST_STEM_FRAMES, "stem_fast", norm)
    slow, fast = _fuse(slow, fast, variant, "stem", norm)
    for stage, (filters, depth) in enumerate(zip(size.filters, size.depths, strict=True), 1):
        temporal = min(depth, variant.temporal_blocks) if stage == 3 else depth
        frames = [
            [length] * temporal + [1] * (depth - temporal)
            for length in (slow_only.FRAMES[stage - 1], FAST_FRAMES)
        ]
        name, places = f"stage{stage}", size.non_local[stage - 1] if non_local else ()
        slow = slow_only.residual_stage(
            slow, filters, frames[0], stage, f"{name}_slow", norm, places
        )
        thin = filters // FAST_SHARE
        fast = slow_only.residual_stage(fast, thin, frames[1], stage, f"{name}_fast", norm)
        if stage < len(size.depths):
            slow, fast = _fuse(slow, fast, variant, name, norm)
        else:
            slow, fast = _stage_end([slow, fast], name, norm)
    return [slow, fast]


def _fuse(slow: Any, fast: Any, variant: Variant, name: str, norm: dict[str, Any]) -> Any:
    """Appends to the channels of the slow pathway what the fast one saw around its frames."""
    filters, kernel = FUSED * fast.shape[-1], (variant.fusion_frames, 1, 1)
    seen = conv_norm_relu(fast, filters, kernel, (variant.speed, 1, 1), f"{name}_fuse_{{}}", norm)
    slow = keras.layers.Concatenate(dtype=norm["dtype"], name=f"{name}_fuse")([slow, seen])
    return _stage_end([slow, fast], name, norm)


def _stage_end(pathways: list[Any], name: str, norm: dict[str, Any]) -> Any:
    """Names both pathways as the output of a stage."""
    return keras.layers.Identity(dtype=norm["dtype"], name=f"{name}_pathways")(pathways)


SIZES = {
    size.model: size
    for size in (
        Size(
            *("SlowFast50", "slowfast_50", (32, 224), (3, 4, 6, 3)),
            variants={"8x8": Variant(4, 7, 6), "4x16": Variant(8, 5, 6)},
            non_local=((), (2, 4), (2, 4, 6), ()),
        ),
        Size(
            *("SlowFast101", "slowfast_101", (32, 224), (3, 4, 23, 3)),
            variants={"paper": Variant(4, 5, 6), "pytorchvideo": Variant(4, 5, 23)},
            non_local=((), (), (7, 14, 21), ()),
        ),
    )
}
SlowFast50 = sized(
    slowfast,
    SIZES["SlowFast50"],
    "Builds SlowFast-50, made for clips of 32 x 224 x 224: 34.6 M parameters, 50.3 G multiply-adds "
    "(variant 4x16: 34.5 M, 27.6 G).",
)
SlowFast101 = sized(
    slowfast,
    SIZES["SlowFast101"],
    "Builds SlowFast-101, made for clips of 32 or 64 x 224 x 224: 53.8 M parameters, 81.5 or 163.1 "
    "G multiply-adds.",
)
