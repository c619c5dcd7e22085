import math
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtnet.models import MTNet
from keras_mtnet.optimizers import LayerwiseSGD
from keras_mtnet.training.devices import dtype_policy
from keras_mtnet.training.schedules import warmup_cosine


def small_model() -> keras.Model:
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, name="features")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="predictions")(x))


def reference_steps(weight, gradients, rates, factor, l2, momentum=0.9):
    """Nesterov SGD with classic weight decay, in float64."""
    weight, buffer = weight.astype("float64"), 0.0
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient + l2 * weight
        buffer = momentum * buffer - factor * rate * gradient
        weight = weight + momentum * buffer - factor * rate * gradient
    return weight


def test_updates_equal_a_reference():
    """Decay on kernels only; a tenth of the rate on all but the classifier."""
    model, rng = small_model(), np.random.default_rng(0)
    optimizer = LayerwiseSGD(
        warmup_cosine(0.5, 10, 2), weight_decay=0.1, lr_multipliers=[(r"^(?!predictions/)", 0.1)]
    )
    before = [np.array(v) for v in model.trainable_variables]
    steps = [[rng.normal(size=w.shape).astype("float32") for w in before] for _ in range(4)]
    for gradients in steps:
        optimizer.apply(
            list(map(keras.ops.convert_to_tensor, gradients)), model.trainable_variables
        )
    rates = [
        0.5 * s / 2 if s < 2 else 0.25 * (1 + math.cos(math.pi * (s - 2) / 8)) for s in range(4)
    ]
    for i, variable in enumerate(model.trainable_variables):
        factor = 1.0 if variable.path.startswith("predictions/") else 0.1
        decay = 0.1 if variable.name == "kernel" else 0.0
        expected = reference_steps(before[i], [g[i] for g in steps], rates, factor, decay)
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-5, atol=1e-6)


def test_without_gradients_only_kernels_decay():
    model = small_model()
    optimizer = LayerwiseSGD(0.5, momentum=0.0, nesterov=False, weight_decay=0.1)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones(variable.shape))
    zeros = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    for variable in model.trainable_variables:
        expected = 0.95 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-6, err_msg=variable.path)


def test_factor_zero_freezes():
    model = small_model()
    optimizer = LayerwiseSGD(0.5, weight_decay=0.1, lr_multipliers=[("features/", 0.0)])
    before = [np.array(v) for v in model.trainable_variables]
    ones = [keras.ops.ones(v.shape) for v in model.trainable_variables]
    optimizer.apply(ones, model.trainable_variables)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.array_equal(np.array(variable), old) == variable.path.startswith("features/")


def test_optimizer_survives_saving(tmp_path):
    """A reloaded model takes the same next step: factors, decay, momentum and step count."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)).astype("float32"), rng.integers(0, 2, 8)
    model = small_model()
    optimizer = LayerwiseSGD(
        warmup_cosine(0.5, 20, 3), weight_decay=0.1, lr_multipliers=[(r"^(?!predictions/)", 0.1)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    model.fit(x, y, epochs=4, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.lr_multipliers == optimizer.lr_multipliers
    assert again.optimizer.classic_weight_decay == optimizer.classic_weight_decay
    for each in (model, again):
        each.fit(x, y, epochs=1, shuffle=False, verbose=0)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=1e-6)


def test_the_exempt_weights_of_an_mtnet():
    """Biases, and scale and offset of batch normalization; all kernels decay."""
    model = MTNet((8,), (1,), input_shape=(4, 16, 16, 3), classes=2)
    optimizer = LayerwiseSGD(weight_decay=0.5)
    for variable in model.trainable_variables:
        exempt = variable.name in optimizer.no_decay
        assert exempt == (len(variable.shape) == 1 or variable.name == "bias"), variable.path


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_loss_falls_in_every_precision(precision):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (4, 4, 16, 16, 3)), np.array([0, 1, 0, 1])
    with dtype_policy(precision):
        model = MTNet((8,), (1,), input_shape=x.shape[1:], classes=2, dropout_rate=0.0)
        model.compile(LayerwiseSGD(0.05), "sparse_categorical_crossentropy", run_eagerly=True)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    losses = []
    for _ in range(8):
        model.reset_metrics()  # else the mean over all steps so far
        losses.append(float(model.train_on_batch(x, y)))
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < 0.8 * losses[0], losses


def applied(optimizer: LayerwiseSGD, model: keras.Model, gradients: list) -> None:
    optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], model.trainable_variables)


def test_parts_begin_to_learn_in_their_turn():
    model = small_model()
    optimizer = LayerwiseSGD(0.5, weight_decay=0.1, trainable_from=[("features/", 3), ("norm/", 1)])
    began = {}
    for update in range(5):
        before = [np.array(v) for v in model.trainable_variables]
        applied(optimizer, model, [np.ones(v.shape, "float32") for v in before])
        for variable, old in zip(model.trainable_variables, before, strict=True):
            if not np.array_equal(np.array(variable), old):
                began.setdefault(variable.path.split("/")[0], update)
    assert began == {"predictions": 0, "norm": 1, "features": 3}


def test_a_part_that_waited_begins_without_momentum():
    """As if the updates before had not been."""
    model, fresh = small_model(), small_model()
    fresh.set_weights(model.get_weights())
    late = LayerwiseSGD(0.5, weight_decay=0.1, trainable_from=[("features/", 3)])
    rng = np.random.default_rng(0)
    steps = [
        [rng.normal(size=v.shape).astype("float32") for v in model.trainable_variables]
        for _ in range(5)
    ]
    for gradients in steps:
        applied(late, model, gradients)
    plain = LayerwiseSGD(0.5, weight_decay=0.1)
    for gradients in steps[3:]:
        applied(plain, fresh, gradients)
    for name in ("kernel", "bias"):
        one, other = (np.array(getattr(m.get_layer("features"), name)) for m in (model, fresh))
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_accumulated_steps_make_one_update():
    """Four batches of 4 and one of 16, to the same weights."""
    rng = np.random.default_rng(0)
    one, other = small_model(), small_model()
    other.set_weights(one.get_weights())
    gradients = [
        [rng.normal(size=v.shape).astype("float32") for v in one.trainable_variables]
        for _ in range(8)
    ]
    whole = LayerwiseSGD(0.1, weight_decay=0.1)
    parts = LayerwiseSGD(0.1, weight_decay=0.1, gradient_accumulation_steps=4)
    for start in (0, 4):
        means = [np.mean(group, 0) for group in zip(*gradients[start : start + 4], strict=True)]
        applied(whole, one, means)
    for each in gradients:
        applied(parts, other, each)
    assert int(whole.iterations) == int(parts.iterations) == 2
    for a, b in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-5, atol=1e-7)


def test_clipped_by_the_norm_of_all():
    model = small_model()
    before = [np.array(v) for v in model.trainable_variables]
    optimizer = LayerwiseSGD(0.1, momentum=0.0, global_clipnorm=0.5)
    applied(optimizer, model, [np.full(v.shape, 3.0, "float32") for v in before])
    moved = [np.array(v) - b for v, b in zip(model.trainable_variables, before, strict=True)]
    norm = np.sqrt(sum((m**2).sum() for m in moved))
    assert norm == pytest.approx(0.5 * 0.1, rel=1e-4)


def test_averages_are_taken_when_asked():
    model = small_model()
    optimizer = LayerwiseSGD(
        0.1, momentum=0.0, use_ema=True, ema_momentum=0.5, average_at_end=False
    )
    optimizer.build(model.trainable_variables)
    average = None  # it begins with the weights after the first update
    for _ in range(3):
        applied(optimizer, model, [np.ones(v.shape) for v in model.trainable_variables])
        now = [np.array(v) for v in model.trainable_variables]
        average = [0.5 * a + 0.5 * b for a, b in zip(average or now, now, strict=True)]
    optimizer.finalize_variable_values(model.trainable_variables)  # what `fit` calls
    for variable, plain in zip(model.trainable_variables, now, strict=True):
        np.testing.assert_array_equal(np.array(variable), plain)
    optimizer.average_at_end = True
    optimizer.finalize_variable_values(model.trainable_variables)
    for variable, expected in zip(model.trainable_variables, average, strict=True):
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-5)


def test_equals_multi_optimizer_of_tensorflow_addons():
    """What `tfa.optimizers.MultiOptimizer` 0.23 did: vectors/make_multi_optimizer.py."""
    path = Path(__file__).parent / "vectors" / "multi_optimizer.npz"
    with np.load(path, allow_pickle=False) as stored:
        vectors = dict(stored)
    assert str(vectors["addons"]) == "0.23.0"
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5, activation="tanh", name="features")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, name="predictions")(x))
    for variable in model.weights:
        variable.assign(vectors[f"before/{variable.path}"])
    optimizer = LayerwiseSGD(
        warmup_cosine(float(vectors["rate"]), int(vectors["total"])),
        momentum=float(vectors["momentum"]),
        lr_multipliers=[("^features/", float(vectors["factor"]))],
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for step, (clips, labels) in enumerate(zip(vectors["x"], vectors["y"], strict=True)):
        model.train_on_batch(clips, labels)
        for variable in model.weights:
            expected = vectors[f"after/{variable.path}"][step]
            np.testing.assert_allclose(np.array(variable), expected, rtol=0, atol=1e-6)
            # The factor is felt: without it, the features would be elsewhere.
            assert np.abs(expected - vectors[f"before/{variable.path}"]).max() > 1e-3


@pytest.mark.parametrize("name", ["lr_multipliers", "trainable_from"])
@pytest.mark.parametrize("given", [{"a": 2}, [("(", 1)], [("a", -1)], [("a", None)], ["a"], 3])
def test_pairs_that_cannot_be(name, given):
    with pytest.raises(ValueError, match=f"{name} must be pairs of .* Received: {name}="):
        LayerwiseSGD(0.1, **{name: given})
