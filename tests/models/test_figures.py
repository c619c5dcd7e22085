"""MTNetS, MTNetM and MTNetL as described: parameters, multiply-adds, blocks, shapes, settings."""

import numpy as np
import pytest

import keras_mtnet as mt

# network: depths of its stages, clip, parameters in millions and multiply-adds in 10^9 with the
# default ratio and 400 classes, by arithmetic from the description
NETWORKS = {
    "MTNetS": ((3, 5, 11, 7), (16, 200, 200, 3), 25.307, 5.848),
    "MTNetM": ((3, 5, 11, 7), (16, 256, 256, 3), 25.307, 9.165),
    "MTNetL": ((5, 10, 25, 15), (16, 256, 256, 3), 54.277, 17.985),
}
FILTERS = (24, 48, 96, 192)


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return request.param, getattr(mt, request.param)(classes=400)


def test_figures(network):
    name, model = network
    _, shape, params, macs = NETWORKS[name]
    costs = mt.count_costs(model, shape)
    assert costs.params == model.count_params()
    assert costs.params / 1e6 == pytest.approx(params, rel=0.002)
    assert costs.macs / 1e9 == pytest.approx(macs, rel=0.002)
    for figure in ("params", "macs", "activations"):
        assert getattr(costs, figure) == sum(getattr(stage, figure) for stage in costs.stages)


def test_blocks_and_head(network):
    name, model = network
    assert model.name == name.replace("MTNet", "mtnet_").lower()
    assert model.input_shape == (None, None, None, None, 3)
    blocks = {layer.name: layer for layer in model.layers if layer.name.startswith("stage")}
    expected = [
        f"stage{stage}_block{block}"
        for stage, depth in enumerate(NETWORKS[name][0], 1)
        for block in range(1, depth + 1)
    ]
    assert [*blocks] == expected
    for block_name, block in blocks.items():
        stage, first = int(block_name[5]), block_name.endswith("_block1")
        assert block.filters == FILTERS[stage - 1]
        strides = (1, 1, 1) if not first else (1, 2, 2) if stage == 1 else (2, 2, 2)
        assert (block.strides, block.ratio, block.cell) == (strides, 7 / 8, "gru")
    assert model.get_layer("head_conv").kernel.shape == (1, 1, 1, 192, 432)
    assert model.get_layer("head_fc").kernel.shape == (432, 2048)
    assert model.get_layer("head_fc").use_bias is False
    assert model.get_layer("head_dropout").rate == 0.5
    classifier = model.get_layer("predictions")
    assert np.all(np.array(classifier.bias) == 0)
    np.testing.assert_allclose(np.std(classifier.kernel), 0.01, rtol=0.02)


def test_shapes(network):
    """The stem's selection and three stages halve time; the stem and all stages halve space."""
    name, model = network
    side = NETWORKS[name][1][1]
    shapes = {
        stage.name: stage.output_shape for stage in mt.count_costs(model, NETWORKS[name][1]).stages
    }
    sides = [side]
    for _ in range(5):
        sides.append(-(-sides[-1] // 2))
    assert shapes == {
        "stem": (8, sides[1], sides[1], 24),
        "stage1": (8, sides[2], sides[2], 24),
        "stage2": (4, sides[3], sides[3], 48),
        "stage3": (2, sides[4], sides[4], 96),
        "stage4": (1, sides[5], sides[5], 192),
        "head": (400,),
    }


def test_normalization(network):
    _, model = network
    norms = [model.get_layer("stem_bn"), model.get_layer("head_bn")]
    for block in (layer for layer in model.layers if layer.name.startswith("stage")):
        for conv in block.convs:
            norms += [conv.local_bn, conv.prolonged_bn, conv.lateral_bn]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-5)}
    shortcut = model.get_layer("stage1_block1").shortcut_bn
    assert (shortcut.momentum, shortcut.epsilon) == (0.9, 1e-5)


# MTNetM with 200 classes: options, parameters in millions, multiply-adds in 10^9. The defaults are
# the ratio 7/8 and the cell gru.
OPTIONS = [
    ({"ratio": 1}, 29.56, 11.843),
    ({"ratio": 7 / 8}, 24.90, 9.165),
    ({"ratio": 3 / 4}, 21.57, 6.915),
    ({"ratio": 5 / 8}, 19.58, 5.049),
    ({"ratio": 1 / 2}, 18.92, 3.637),
    ({"ratio": 3 / 8}, 19.60, 2.574),
    ({"ratio": 1 / 4}, 21.61, 1.924),
    ({"cell": "rnn"}, 21.89, None),
    ({"cell": "lstm"}, 26.38, None),
    ({"cell": "peephole_lstm"}, 26.39, None),
]


@pytest.mark.parametrize("options, params, macs", OPTIONS, ids=lambda x: str(x))
def test_figures_of_options(options, params, macs):
    """From networks of one and of two blocks a stage: all blocks but a stage's first are equal."""
    depths, shape, *_ = NETWORKS["MTNetM"]
    one, two = (
        mt.count_costs(mt.MTNet(FILTERS, (n,) * 4, classes=200, **options), shape) for n in (1, 2)
    )

    def total(figure):
        firsts = {stage.name: getattr(stage, figure) for stage in one.stages}
        pairs = {stage.name: getattr(stage, figure) for stage in two.stages}
        further = {f"stage{i}": depth - 1 for i, depth in enumerate(depths, 1)}
        return sum(
            first + further.get(name, 0) * (pairs[name] - first) for name, first in firsts.items()
        )

    assert total("params") / 1e6 == pytest.approx(params, rel=0.002)
    if macs is not None:
        assert total("macs") / 1e9 == pytest.approx(macs, rel=0.002)
