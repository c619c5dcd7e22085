"""to_mtconv: figures of Table II's 3-D ResNet-50, what is kept and left, and models of users."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers
from numpy_layers import randomize

import keras_mtnet as mt
from keras_mtnet.layers import MTConv
from keras_mtnet.layers.convolutions import CenteredConv3D
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.models import VideoModel, r2plus1d, x3d
from keras_mtnet.models.resnet import video_resnet


def unit(x, filters, kernel, strides, name, relu=True):
    """Convolution with zeros of half the kernel around the clip, as PyTorch users write it."""
    if any(half := tuple(size // 2 for size in kernel)):
        x = layers.ZeroPadding3D(half, name=f"{name}_pad")(x)
    conv = layers.Conv3D(
        filters, kernel, strides, use_bias=False, kernel_initializer="zeros", name=f"{name}_conv"
    )
    x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(conv(x))
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def r3d_50(shape, width=64, depths=(3, 4, 6, 3), classes=400):
    """The authors' 3-D ResNet-50, whose blocks end as wide as they are inside, of Keras layers."""
    inputs = keras.Input(shape, name="clips")
    x = unit(inputs, width, (3, 7, 7), (1, 2, 2), "stem")
    x = layers.MaxPooling3D(3, 2, padding="same", name="stem_pool")(x)
    for stage, depth in enumerate(depths, 1):
        filters = width * 2 ** (stage - 1)
        for block in range(1, depth + 1):
            strides, name = 2 if block == 1 and stage > 1 else 1, f"stage{stage}_block{block}"
            y = unit(x, filters, (1, 1, 1), 1, f"{name}_1")
            y = unit(y, filters, (3, 3, 3), strides, f"{name}_2")
            y = unit(y, filters, (1, 1, 1), 1, f"{name}_3", relu=False)
            if strides == 2:
                x = unit(x, filters, (1, 1, 1), 2, f"{name}_shortcut", relu=False)
            x = layers.ReLU(name=name)(layers.Add(name=f"{name}_add")([x, y]))
    x = layers.GlobalAveragePooling3D(name="head_pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="predictions")(x), name="r3d_50")


def plain_cnn():
    """What a user may write."""
    return keras.Sequential(
        [
            keras.Input((6, 16, 16, 3), name="clips"),
            layers.Conv3D(16, 3, padding="same", name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(name="relu1"),
            layers.Conv3D(24, 3, 2, padding="same", use_bias=False, name="conv2"),
            layers.BatchNormalization(name="bn2"),
            layers.Activation("relu", name="relu2"),
            layers.Conv3D(16, (1, 3, 3), activation="relu", name="conv3"),
            layers.GlobalAveragePooling3D(name="pool"),
            layers.Dense(3, "softmax", name="predictions"),
        ],
        name="mine",
    )


def trainable_parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def clips(model, n=2, seed=0):
    shape = (n, *model.input_shape[1:])
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


def check_training(model, n=4, classes=3):
    """One step changes every trainable weight, and the loss stays a number."""
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    before = [np.array(weight) for weight in model.trainable_weights]
    model.fit(clips(model, n), np.arange(n) % classes, batch_size=n, verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.isfinite(weight).all() and not np.array_equal(weight, old), weight.path


# --- Table II -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table_ii():
    model = r3d_50((16, 224, 224, 3))
    return model, mt.to_mtconv(model, 7 / 8)


def test_figures_of_table_ii(table_ii):
    """36.7 M and 26.5 G are the paper's 3-D row; its 35.7 M and 23.1 G are not reproduced."""
    for network, params, macs in zip(table_ii, (36.725, 29.436), (26.47, 22.05), strict=True):
        assert trainable_parameters(network) / 1e6 == pytest.approx(params, abs=5e-4)
        assert mt.count_costs(network).macs / 1e9 == pytest.approx(macs, abs=5e-3)


def test_every_3x3x3_and_nothing_else(table_ii):
    model, network = table_ii
    replaced = [layer for layer in network.layers if isinstance(layer, MTConv)]
    assert [layer.name for layer in replaced] == [*network.surgery.changed]
    assert len(replaced) == 16 and all(layer.kernel_size == (3, 3, 3) for layer in replaced)
    assert {layer.padding for layer in replaced} == {"centered"}
    shapes = {layer.name: layer.output.shape for layer in model.layers}
    assert all(layer.output.shape == shapes[layer.name] for layer in network.layers)
    reasons = network.surgery.left
    assert reasons["stem_conv"] == "reads 3 channels (min_channels=8)"
    assert reasons["stage2_block1_shortcut_conv"] == "1x1x1 (pointwise=False)"
    assert len(reasons) == 1 + 32 + 3


# --- What becomes of a model --------------------------------------------------------------------


def test_a_sequential_of_a_user(tmp_path):
    model = plain_cnn()
    randomize(model)
    network = mt.to_mtconv(model, ratio=3 / 4)
    assert isinstance(network, keras.Sequential) and network.name == "mine"
    names = ["conv1", "bn1", "relu1", "conv2", "conv3", "pool", "predictions"]
    assert [layer.name for layer in network.layers] == names
    assert network.surgery.changed == {
        "conv2": "MTConv of 24 filters, 3x3x3, with bn2, relu2",
        "conv3": "MTConv of 16 filters, 1x3x3",
    }
    assert (network.input_shape, network.output_shape) == (model.input_shape, model.output_shape)
    for name in names:
        old, new = model.get_layer(name), network.get_layer(name)
        assert new is not old
        if name in network.surgery.changed:
            assert new.ratio == 3 / 4 and new.activation is keras.activations.relu
            output = model.get_layer("relu2" if name == "conv2" else name).output
            assert new.output.shape == output.shape
        for weight, kept in zip(new.get_weights(), old.get_weights(), strict=False):
            assert name in network.surgery.changed or np.array_equal(weight, kept)
    check_training(network)
    network.save(tmp_path / "model.keras")
    x = clips(network)
    np.testing.assert_array_equal(mt.load_model(tmp_path / "model.keras")(x), network(x))


def test_a_video_model(tmp_path):
    """Its clip spec and its input stay; it trains, loads and is exported."""
    inputs = keras.Input((4, 16, 16, 3), name="clips")
    spec = mt.ClipSpec(frames=4, stride=2, class_names=("a", "b", "c"))
    x = mt.layers.ClipNormalization((0.5,) * 3, (0.5,) * 3, clip_spec=spec)(inputs)
    x = layers.Conv3D(8, (1, 3, 3), (1, 2, 2), padding="same", name="stem_conv")(x)
    x = CenteredConv3D(16, 3, strides=2, name="stage1_conv")(x)
    x = layers.BatchNormalization(name="stage1_bn")(x)
    x = layers.ReLU(name="stage1_relu")(x)
    x = layers.GlobalAveragePooling3D(name="head_pool")(x)
    model = VideoModel(inputs, layers.Dense(3, "softmax", name="predictions")(x), name="small")
    model.torch_keys = {"somewhere": ()}
    network = mt.to_mtconv(model)
    assert type(network) is VideoModel and network.clip_spec == spec and network.name == "small"
    assert not network.torch_keys
    assert network.input.name == "clips" and network.input_shape == model.input_shape
    stages = mt.feature_extractor(network).output
    assert {name: x.shape for name, x in stages.items()} == {
        name: x.shape for name, x in mt.feature_extractor(model).output.items()
    }
    check_training(network)
    network.save(tmp_path / "model.keras")
    assert mt.load_model(tmp_path / "model.keras").clip_spec == spec
    assert mt.export_savedmodel(network, tmp_path / "export").is_dir()


def test_i3d():
    model = mt.I3D(classes=3, input_shape=(8, 32, 32, 3))
    network = mt.to_mtconv(model)
    assert len(network.surgery.changed) == 19  # all 3x3x3
    shapes = {layer.name: layer.output.shape for layer in model.layers}
    assert all(layer.output.shape == shapes[layer.name] for layer in network.layers)
    assert "stage1_block1_branch1_bn2" not in {layer.name for layer in network.layers}


def test_with_1x1x1_convolutions():
    model = r3d_50((4, 32, 32, 3), width=16, depths=(1, 1), classes=3)
    with pytest.raises(ValueError, match=r"no 3-D convolution to replace\. pointwise=True"):
        mt.to_mtconv(model, keep=["stage1_block1_2_conv", "stage2_block1_2_conv"])
    network = mt.to_mtconv(model, pointwise=True, keep=["stage2_block1_shortcut_conv"])
    assert len(network.surgery.changed) == 6
    assert network.surgery.left["stage2_block1_shortcut_conv"] == "in keep"
    shapes = {layer.name: layer.output.shape for layer in model.layers}
    assert all(layer.output.shape == shapes[layer.name] for layer in network.layers)


ZOO = {
    "X3DM": lambda size: x3d.x3d(dataclasses.replace(size, depth=1.0), **TINY),
    "R2Plus1D18": lambda size: video_resnet(dataclasses.replace(size, depths=(1, 1, 1, 1)), **TINY),
}
TINY = {"classes": 3, "input_shape": (4, 32, 32, 3)}


@pytest.mark.parametrize("name", ZOO)
def test_networks_of_the_zoo(name):
    """X3D has depthwise and 1x1x1 convolutions alone, R(2+1)D 1x3x3 and 3x1x1 ones; less deep."""
    sizes = x3d.SIZES if name == "X3DM" else r2plus1d.SIZES
    model = ZOO[name](sizes[name])
    if name == "X3DM":
        with pytest.raises(ValueError, match="pointwise=True replaces 1x1x1"):
            mt.to_mtconv(model)
    network = mt.to_mtconv(model, pointwise=name == "X3DM")
    convs = [layer for layer in network.layers if isinstance(layer, MTConv)]
    assert len(convs) == (2 * 11 + 4 + 1 if name == "X3DM" else 1 + 2 * 8)
    shapes = {layer.name: layer.output.shape for layer in model.layers}
    assert all(layer.output.shape == shapes[layer.name] for layer in network.layers)
    network.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    before = [np.array(conv.local_conv.kernel) for conv in convs]
    history = network.fit(clips(network), np.arange(2), verbose=0)
    assert np.isfinite(history.history["loss"][0])
    for conv, old in zip(convs, before, strict=True):
        assert not np.array_equal(conv.local_conv.kernel, old), conv.name


CONVOLUTIONS = {
    "same": lambda: [layers.Conv3D(8, 3, 2, padding="same", use_bias=False)],
    "valid": lambda: [layers.Conv3D(8, (1, 3, 2), (1, 2, 1), use_bias=False)],
    "centered": lambda: [CenteredConv3D(8, 3, strides=2, use_bias=False)],
    "padded": lambda: [layers.ZeroPadding3D((0, 1, 2)), layers.Conv3D(8, (1, 3, 5), 2)],
    "padded otherwise": lambda: [layers.ZeroPadding3D(1), layers.Conv3D(8, (1, 3, 5), 2)],
}
FOLLOWERS = {
    "relu": lambda: [layers.BatchNormalization(epsilon=1e-5), layers.ReLU()],
    "tanh": lambda: [layers.BatchNormalization(epsilon=1e-5), layers.Activation("tanh")],
    "softmax": lambda: [layers.BatchNormalization(epsilon=1e-5), layers.Activation("softmax")],
    "relu6": lambda: [layers.BatchNormalization(epsilon=1e-5), layers.ReLU(6)],
    "none": lambda: [layers.BatchNormalization(epsilon=1e-5)],
}


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("follower", FOLLOWERS)
def test_computes_the_same_with_one_branch(convolution, follower):
    """Padding, strides and what belongs to the convolution: all weights can be handed over."""
    parts = [*CONVOLUTIONS[convolution](), *FOLLOWERS[follower]()]
    model = keras.Sequential([keras.Input((6, 8, 7, 8)), *parts])
    randomize(model)
    network = mt.to_mtconv(model, ratio=1)
    norm = next(x for x in model.layers if isinstance(x, layers.BatchNormalization))
    conv = next(x for x in model.layers if isinstance(x, layers.Conv3D))
    if conv.use_bias:  # one of the two biases suffices
        norm.moving_mean.assign_sub(conv.bias)
        conv.bias.assign(np.zeros(8))
    new = next(x for x in network.layers if isinstance(x, MTConv))
    new.set_weights([conv.get_weights()[0], *norm.get_weights()])
    kept = 1 + (follower in ("relu6", "softmax")) + (convolution == "padded otherwise")
    assert len(network.layers) == kept
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 7, 8)).astype("float32")
    np.testing.assert_allclose(network(x), model(x), rtol=1e-5, atol=1e-5)


def test_tensors_that_others_read_stay():
    """A normalization is taken over only where nothing else reads the convolution, and so on."""
    inputs = keras.Input((4, 8, 8, 8))
    x = layers.Conv3D(8, 3, padding="same", name="conv1")(inputs)
    x = layers.Add(name="add1")([layers.BatchNormalization(name="bn1")(x), x])
    x = layers.Conv3D(8, 3, padding="same", name="conv2")(x)
    normed = layers.BatchNormalization(name="bn2")(x)
    model = keras.Model(inputs, [layers.ReLU(name="relu2")(normed), normed])
    network = mt.to_mtconv(model)
    assert [layer.name for layer in network.layers[1:]] == [
        *("conv1", "bn1", "add1", "conv2", "relu2")
    ]
    assert network.get_layer("conv2").activation is keras.activations.linear
    assert [y.shape for y in network.outputs] == [y.shape for y in model.outputs]


def test_a_model_in_a_model():
    inner = keras.Sequential(
        [
            keras.Input((4, 8, 8, 8)),
            layers.Conv3D(8, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="bn"),
        ],
        name="inner",
    )
    inputs = keras.Input((4, 8, 8, 8))
    model = keras.Model(inputs, keras.ops.relu(inner(inputs)) + inner(inputs))
    network = mt.to_mtconv(model)
    assert [*network.surgery.changed] == ["inner/conv"] and not network.surgery.left
    x = clips(model)
    y = network.get_layer("inner")(x)
    np.testing.assert_allclose(network(x), np.maximum(y, 0) + y, rtol=1e-6)


def test_settings_are_carried_over():
    model = plain_cnn()
    model.get_layer("conv2").trainable = False
    model.get_layer("conv1").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    network = mt.to_mtconv(model, pooling="avg", frame_selection=False)
    assert network.compiled and network.loss == model.loss
    new = network.get_layer("conv2")
    assert (new.pooling, new.frame_selection) == ("avg", False)
    assert new.trainable and not network.get_layer("conv1").trainable
    policy = keras.dtype_policies.get("mixed_bfloat16")
    inputs = keras.Input((4, 8, 8, 8))
    model = keras.Model(inputs, layers.Conv3D(8, 3, dtype=policy, name="conv")(inputs))
    assert mt.to_mtconv(model).get_layer("conv").dtype_policy == policy


# --- What is left, and what is refused ----------------------------------------------------------


@keras.saving.register_keras_serializable()
class OwnConv3D(layers.Conv3D):
    """A convolution that computes something else."""


@keras.saving.register_keras_serializable()
class OwnBlock(layers.Layer):
    """A layer with a convolution inside."""

    def build(self, input_shape):
        self.conv = layers.Conv3D(8, 3, padding="same")
        self.conv.build(input_shape)

    def call(self, x):
        return self.conv(x)


LEFT = {
    "grouped": (lambda: layers.Conv3D(8, 3, groups=2), "in 2 groups"),
    "depthwise": (lambda: layers.Conv3D(8, 3, groups=8), "depthwise"),
    "ours": (lambda: DepthwiseConv3D(3), "depthwise"),
    "dilated": (lambda: layers.Conv3D(8, 3, dilation_rate=(1, 2, 2)), "dilated by 1x2x2"),
    "pointwise": (lambda: layers.Conv3D(8, 1), "1x1x1 (pointwise=False)"),
    "narrow": (lambda: layers.Conv3D(4, 3), "puts out 4 channels (min_channels=8)"),
    "softmax": (
        lambda: layers.Conv3D(8, 3, activation="softmax"),
        "its softmax looks across channels",
    ),
    "own": (lambda: OwnConv3D(8, 3), "computes in a way of its own (OwnConv3D)"),
    "block": (lambda: OwnBlock(), "OwnBlock: what is in there is not known"),
    "mt": (lambda: MTConv(8), "multi-temporal already"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_left_with_a_reason(case):
    make, reason = LEFT[case]
    layer = make()
    first = layers.Conv3D(8, 3, padding="same", name="first")
    model = keras.Sequential([keras.Input((6, 8, 8, 8)), first, layer])
    network = mt.to_mtconv(model)
    assert [*network.surgery.changed] == ["first"]
    assert network.surgery.left == {layer.name: reason}
    np.testing.assert_array_equal(
        network.layers[-1].get_weights()[0], model.layers[-1].get_weights()[0]
    )


def test_shared_convolutions_are_left():
    inputs = keras.Input((4, 8, 8, 8))
    shared, relu = layers.Conv3D(8, 3, padding="same", name="shared"), layers.ReLU(name="relu")
    x = relu(layers.BatchNormalization(name="bn")(shared(shared(inputs))))
    x = relu(layers.Conv3D(8, 3, padding="same", name="conv")(x))
    model = keras.Model(inputs, x)
    network = mt.to_mtconv(model)
    assert network.surgery.left == {"shared": "shared: called 2 times"}
    assert [*network.surgery.changed] == ["conv"]
    assert network.get_layer("conv").activation is keras.activations.linear  # the ReLU is shared


def test_a_single_position_is_left():
    inputs = keras.Input((4, 8, 8, 8))
    gate = layers.GlobalAveragePooling3D(keepdims=True)(inputs)
    gate = layers.Conv3D(8, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply()([layers.Conv3D(8, 1, name="conv")(inputs), gate])
    network = mt.to_mtconv(keras.Model(inputs, x), pointwise=True)
    assert network.surgery.left == {"gate": "1x1x1, of a single position"}


class Subclassed(keras.Model):
    def call(self, x):
        return x


REFUSED = {
    "no convolution": (
        lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="dense"),
        {},
        "dense has no 3-D convolution to replace.*It has none",
    ),
    "subclassed": (Subclassed, {}, "to_mtconv follows the graph.*subclassed model"),
    "no input": (
        lambda: keras.Sequential([layers.Conv3D(8, 3)]), {}, "begins with keras.Input"
    ),
    "no model": (lambda: layers.Conv3D(8, 3), {}, "Received: model=<Conv3D"),
    "keep": (plain_cnn, {"keep": ["conv2", "conv9"]}, r"keep=\['conv9'\]"),
    "ratio": (plain_cnn, {"ratio": 1.5}, "ratio must be.*ratio=1.5"),
    "pooling": (plain_cnn, {"pooling": "min"}, "pooling must be.*'min'"),
    "all left": (
        lambda: mt.MTNet((8,), (1,), classes=2), {}, r"(?s)pointwise=True.*stage1_block1.*already"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    make, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        mt.to_mtconv(make(), **options)
