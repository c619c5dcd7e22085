"""SlowOnly and SlowFast against their published code; make_slowfast.py found the numbers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from make_slowfast import CLIPS, DEPTHS, FULL, NON_LOCAL, SHALLOW, TEMPORAL, WIDTH, weights
from published import check_logits, randomize
from zoo import digest

import keras_mtnet as mt
from keras_mtnet import convert
from keras_mtnet.convert import convert_weights
from keras_mtnet.models import slow_only, slowfast
from keras_mtnet.training.preparation import build_model
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# Parameters, multiply-adds for clips of 8 or 32 x 224 x 224 without the products of non-local
# blocks, names of all tensors (a hash) in PySlowFast and in pytorchvideo.
FIGURES = {
    "slow_only": (32454096, 41740828672, "873a4f1904b94a7b", "908b21ac4c77775a"),
    "slow_only_nl": (39812560, 52016873472, "0d543b1d6e440293", None),
    "slowfast": (34566488, 50308583424, "d9653fafacc7ebbb", "b64258d537dd0d36"),
    "slowfast_4x16": (34480216, 27638665216, "1b5c48f9b8cbb147", "7702b9885c4ea50b"),
    "slowfast_4x16_nl": (41838680, 32776687616, "3480e535cb71cd10", None),
    "slowfast101": (53774808, 81547759616, "75e56fd7b5433740", "17bf0c4f691684e4"),
    "slowfast101_nl": (60080088, 87713386496, "67d9dc8e3b6b3d3a", None),
    "slowfast101_ptv": (62826968, 96396644352, "ed75864f94e86431", "7a5eba3c10d13df0"),
}
FILTERS = tuple(WIDTH << i for i in range(4))
FIVE = {"classes": 5, "classifier_activation": None}


def shallow(name, **options):
    """The small network of a name in `SHALLOW`."""
    model, given, *_ = FULL[name]
    small = {"depths": DEPTHS, "non_local": NON_LOCAL, "filters": FILTERS}
    options = {**FIVE, **given, **options}
    if model == "SlowOnly50":
        size = dataclasses.replace(slow_only.SIZES[model], **small)
        return slow_only.slow_only(size, **options)
    size = slowfast.SIZES[model]
    if model == "SlowFast101":
        small["variants"] = {
            "paper": dataclasses.replace(size.variants["paper"], temporal_blocks=TEMPORAL)
        }
    return slowfast.slowfast(dataclasses.replace(size, **small), **options)


@pytest.mark.usefixtures("zeros")
@pytest.mark.parametrize("name", FULL)
def test_figures(name):
    model, options, *_ = FULL[name]
    params, macs, pyslowfast, pytorchvideo = FIGURES[name]
    network = getattr(mt, model)(**options)
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == params
    frames = 8 if model == "SlowOnly50" else 32
    costs = mt.count_costs(network, (frames, 224, 224, 3))
    products = 0
    if "non_local" in options:  # positions and pooled positions of a stage times inner widths
        blocks = (0, 3) if model == "SlowFast101" else (2, 3)
        frames = 4 if "variant" in options else 8
        for count, side, inner in zip(blocks, (28, 14), (256, 512), strict=True):
            products += count * frames * (side**2 + side**2 // 4) * inner**2
    assert costs.macs == macs + products
    found = {k: digest(to_state_dict(network, rules)) for k, rules in network.torch_keys.items()}
    assert (found["PySlowFast"], found.get("pytorchvideo")) == (pyslowfast, pytorchvideo)


@pytest.mark.parametrize("name", SHALLOW)
def test_logits_are_those_of_the_published_code(name):
    network = shallow(name)
    rules = network.torch_keys["PySlowFast"]
    with np.load(Path(__file__).parents[1] / "vectors" / "slowfast.npz") as stored:
        check_logits(network, CLIPS, stored, name, rules, weights)


def test_stages():
    narrow = {"input_shape": (32, 64, 96, 3), "include_top": False}
    features = mt.feature_extractor(shallow("slowfast", **narrow)).output
    assert {
        name: [tuple(y.shape[1:]) for y in pathways] for name, pathways in features.items()
    } == {
        "stem": [(8, 16, 24, 16 + 4), (32, 16, 24, 2)],
        "stage1": [(8, 16, 24, 64 + 16), (32, 16, 24, 8)],
        "stage2": [(8, 8, 12, 128 + 32), (32, 8, 12, 16)],
        "stage3": [(8, 4, 6, 256 + 64), (32, 4, 6, 32)],
        "stage4": [(8, 2, 3, 512), (32, 2, 3, 64)],
    }
    features = mt.feature_extractor(shallow("slow_only", **narrow)).output
    assert [tuple(y.shape[1:]) for y in features.values()] == [
        (32, 16, 24, 16),
        (32, 16, 24, 64),
        (32, 8, 12, 128),
        (32, 4, 6, 256),
        (32, 2, 3, 512),
    ]


def test_small_and_odd_clips():
    network = shallow("slowfast_4x16_nl", include_top=False, pooling="max")
    assert network.output_shape == (None, 512 + 64)
    for shape in ((1, 1, 1), (7, 33, 9)):
        assert np.isfinite(network(np.zeros((2, *shape, 3), "uint8"))).all()
    assert np.isfinite(network.predict(np.zeros((2, 7, 33, 9, 3), "uint8"), verbose=0)).all()


def test_refuses_other_checkpoints():
    rules = slowfast.TORCH_KEYS["pytorchvideo"]
    network, other = shallow("slowfast"), shallow("slowfast_4x16")
    state = to_state_dict(network, rules)
    key = "blocks.0.multipathway_fusion.conv_fast_to_slow.weight"
    with pytest.raises(ValueError, match=rf"{key} is \(4, 2, 7, 1, 1\), not \(4, 2, 5, 1, 1\)"):
        from_state_dict(other, state, rules)
    with pytest.raises(ValueError, match=rf"missing: {key}"):
        from_state_dict(network, {k: v for k, v in state.items() if k != key}, rules)
    with pytest.raises(ValueError, match=r"not part of the network: blocks\.7\.proj\.bias"):
        from_state_dict(network, {**state, "blocks.7.proj.bias": np.zeros(5)}, rules)


def test_which_preset_a_checkpoint_belongs_to(home, tmp_path, monkeypatch):
    """It is told by the name of its file, and decides over the variant."""
    small = {"depths": (1,) * 4, "filters": (8, 8, 8, 8)}
    for name, value in small.items():
        monkeypatch.setitem(vars(slowfast.SIZES["SlowFast50"]), name, value)
    network = mt.SlowFast50(variant="4x16")
    randomize(network, network.torch_keys["pytorchvideo"])
    state = to_state_dict(network, network.torch_keys["PySlowFast"])
    monkeypatch.setattr(convert, "read_published", lambda _: state)  # PyTorch may be missing
    path = tmp_path / "SLOWFAST_4x16_R50.pyth"
    path.touch()
    converted = convert_weights(path, "SlowFast50")
    assert converted.name == "slowfast_50_kinetics400_4x16.weights.h5"
    loaded = mt.SlowFast50(weights="kinetics400_4x16")
    assert loaded.clip_spec.stride == 2 and loaded.clip_spec.class_names[0] == "abseiling"
    clip = np.random.default_rng(0).integers(0, 256, (1, 16, 32, 32, 3), "uint8")
    np.testing.assert_array_equal(loaded(clip), network(clip))
    recipe = Recipe(model="SlowFast50", weights="kinetics400_4x16", size=32)
    trained = build_model(recipe, classes=3)
    assert trained.get_layer("stem_fuse_conv").kernel_size == (5, 1, 1)
    with pytest.raises(ValueError, match=r"variant='4x16'\. Received: variant='8x8'"):
        mt.SlowFast50(weights="kinetics400_4x16", variant="8x8")
    with pytest.raises(ValueError, match=r"not \(2, 1, 7, 1, 1\)"):
        convert_weights(path, "SlowFast50", "kinetics400")
    path = path.rename(tmp_path / "mine.pyth")
    with pytest.raises(ValueError, match="'kinetics400', 'kinetics400_4x16' of SlowFast50"):
        convert_weights(path, "SlowFast50")
    mine = tmp_path / "mine.weights.h5"
    convert_weights(path, "SlowFast50", output=mine, variant="4x16")
    loaded = mt.SlowFast50(weights=mine, variant="4x16")
    np.testing.assert_array_equal(loaded(clip), network(clip))


def test_wrong_variant():
    with pytest.raises(ValueError, match=r"8x8, 4x16\. Received: variant='16x8'"):
        mt.SlowFast50(variant="16x8")
