"""Blocks that share a function, or keep no activations, learn the same as those that do not."""

import functools
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtnet as mt
from keras_mtnet.layers import MTBlock, MTConv
from keras_mtnet.models.released_mtnet import TwoStreamMTBlock

SHAPE = (3, 4, 8, 8, 8)
CASES = {
    "block": (MTBlock, {"ratio": 1 / 2}),
    "half": (MTBlock, {"ratio": 1 / 2, "dtype": "mixed_bfloat16"}),
    "random_pooling": (MTBlock, {"ratio": 1 / 2, "pooling": "stochastic"}),
    "two_streams": (TwoStreamMTBlock, {"ratio": 1 / 2}),
}


def learn(kind, options, remat, compiled):
    """One step of each of two batches: losses, gradients and what the layer holds at the end."""
    keras.utils.set_random_seed(0)
    block = kind(6, strides=(1, 2, 2), remat=remat, **options)
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=(2, *SHAPE)), block.compute_dtype)

    def step(x):
        if kind is TwoStreamMTBlock:
            x = [x[..., :4], x[:, ::2, ::2, ::2, 4:]]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = keras.tree.flatten(block(x, training=True))
            loss = sum(tf.reduce_mean(tf.cast(each, "float32") ** 2) for each in y)
        values = [variable.value for variable in block.trainable_variables]
        return loss, tape.gradient(loss, [*keras.tree.flatten(x), *values])

    run = tf.function(step) if compiled else step
    if kind is TwoStreamMTBlock:
        block.build([(None, 4, 8, 8, 4), (None, 2, 4, 4, 4)])
    else:
        block.build(SHAPE)
    found = [run(x) for x in inputs]
    return found, [keras.ops.convert_to_numpy(variable) for variable in block.variables]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("case", CASES)
def test_learns_the_same(case, compiled):
    kind, options = CASES[case]
    (kept, state), (again, same_state) = (
        learn(kind, options, remat, compiled) for remat in (False, True)
    )
    tolerance = 2e-2 if case == "half" else 1e-5
    for (loss, gradients), (same_loss, same_gradients) in zip(kept, again, strict=True):
        np.testing.assert_allclose(loss, same_loss, rtol=1e-5)
        for gradient, same in zip(gradients, same_gradients, strict=True):
            assert gradient.dtype == same.dtype
            gradient, same = (tf.cast(each, "float32") for each in (gradient, same))
            np.testing.assert_allclose(
                same, gradient, atol=tolerance * float(tf.reduce_max(tf.abs(gradient)))
            )
    for value, same in zip(state, same_state, strict=True):  # moving statistics, seeds
        np.testing.assert_allclose(value, same, rtol=1e-5, atol=1e-6)


def test_nothing_is_computed_twice_without_a_gradient():
    blocks = [MTBlock(6, ratio=1 / 2, remat=remat) for remat in (False, True)]
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    for block in blocks:
        block.build(SHAPE)
    blocks[1].set_weights(blocks[0].get_weights())
    np.testing.assert_array_equal(*(block(x) for block in blocks))


def test_keeps_no_activations(monkeypatch):
    """What a step needs lasts from its forward to its backward half."""
    made = []
    call = MTConv._branches

    def watched(self, *arguments):
        parts = call(self, *arguments)
        made.extend(weakref.ref(part) for part in parts)
        return parts

    monkeypatch.setattr(MTConv, "_branches", watched)
    alive = {}
    for remat in (False, True):
        block = MTBlock(6, ratio=1 / 2, remat=remat)
        made.clear()
        with tf.GradientTape() as tape:
            y = block(tf.ones(SHAPE), training=True)
        assert len(made) == 8  # of four convolutions
        alive[remat] = sum(each() is not None for each in made)
        assert tape.gradient(y, block.trainable_variables[0].value) is not None
    assert alive[False] >= 6 and alive[True] == 0


def functions_of(*blocks, training=True):
    """Functions, by name, that a graph of these blocks calls, and how often each."""

    @tf.function
    def run(x):
        for block in blocks:
            x = block(x, training=training)
        return x

    graph = run.get_concrete_function(tf.ones(SHAPE)).graph.as_graph_def()
    calls = [node for node in graph.node if node.op.endswith("PartitionedCall")]
    names = [node.attr["f"].func.name for node in calls]
    return {name: names.count(name) for name in names}


def make(count, **options):
    blocks = [MTBlock(8, ratio=1 / 2, **options) for _ in range(count)]
    for block in blocks:
        block.build(SHAPE)
    return blocks


@pytest.mark.parametrize("training", [False, True])
def test_blocks_alike_share_a_function(training):
    assert list(functions_of(*make(3), training=training).values()) == [3]
    others = *make(2), *make(1, cell="lstm")
    assert list(functions_of(*others, training=training).values()) == [2, 1]


def test_functions_are_kept_where_no_converter_meets_them(tmp_path):
    """TensorFlow inlines the others, and the converters of Keras' own exports know no functions."""
    model = mt.MTNet((8,), (3,), classes=2, input_shape=(*SHAPE[1:4], 3))
    clips = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:]), "uint8")
    kept = {}

    def noting(name, step):
        def noted(*args, **kwargs):
            found = step(*args, **kwargs)
            graph = tf.compat.v1.get_default_graph().as_graph_def()
            kept[name] = ["_noinline" in each.attr for each in graph.library.function]
            return found

        return noted

    model.predict_step = noting("predict", model.predict_step)
    model.test_step = noting("test", model.test_step)
    model.compile(loss="sparse_categorical_crossentropy")
    scores = model.predict(clips, verbose=0)
    model.evaluate(clips, np.zeros(2), verbose=0)
    assert kept.keys() == {"predict", "test"}
    assert all(any(each) for each in kept.values())
    model.export(tmp_path / "m.tflite", format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(str(tmp_path / "m.tflite"))
    runner = interpreter.get_signature_runner()
    (name,) = runner.get_input_details()
    (found,) = runner(**{name: clips[:1].astype("float32")}).values()
    np.testing.assert_allclose(found, scores[:1], atol=1e-5)


@pytest.mark.parametrize("change", ["frozen", "momentum"])
def test_a_block_that_differs_has_a_function_of_its_own(change):
    first, second = make(2)
    if change == "frozen":
        second.trainable = False
    else:
        second.convs[0].local_bn.momentum = 0.5
    assert list(functions_of(first, second).values()) == [1, 1]


def test_a_block_holds_no_function():
    """An export would trace and write what hangs on a layer, and its graph would stay."""
    (block,) = make(1)
    before = set(vars(block))
    functions_of(block)
    assert set(vars(block)) - before <= {"_call_context_args", "_inside"}


def test_shared_functions_predict_what_the_blocks_do():
    x = tf.constant(np.random.default_rng(0).normal(size=SHAPE), "float32")
    blocks = make(3)
    for block in blocks:
        for variable in block.non_trainable_variables:  # moving statistics
            if variable.dtype == "float32":
                variable.assign(variable + 0.5)

    def run(x):
        for block in blocks:
            x = block(x, training=False)
        return x

    before = [v.numpy() for block in blocks for v in block.variables]
    np.testing.assert_allclose(tf.function(run)(x), run(x), rtol=1e-5, atol=1e-6)
    after = [v.numpy() for block in blocks for v in block.variables]
    for value, same in zip(before, after, strict=True):
        np.testing.assert_array_equal(value, same)


def test_shared_functions_compute_what_the_blocks_do():
    """Outputs, gradients and moving statistics of three blocks with weights of their own."""
    x = tf.constant(np.random.default_rng(0).normal(size=SHAPE), "float32")

    def step(blocks, x):
        with tf.GradientTape() as tape:
            y = x
            for block in blocks:
                y = block(y, training=True)
            loss = tf.reduce_mean(y**2)
        return [y, *tape.gradient(loss, [v.value for b in blocks for v in b.trainable_variables])]

    found = []
    for run in (step, lambda blocks, x: tf.function(functools.partial(step, blocks))(x)):
        keras.utils.set_random_seed(0)
        blocks = make(3)
        results = run(blocks, x)
        found.append([*results, *(v.numpy() for block in blocks for v in block.variables)])
    for value, same in zip(*found, strict=True):
        np.testing.assert_allclose(same, value, atol=1e-5 * float(np.abs(value).max()) + 1e-7)
