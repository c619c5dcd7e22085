import math

import keras
import numpy as np
import pytest

from keras_mtnet.models import MTNet
from keras_mtnet.training import LayerwiseSGD, Recipe
from keras_mtnet.training.devices import dtype_policy
from keras_mtnet.training.schedules import make_optimizer, warmup_cosine


@pytest.mark.parametrize("warmup", [0, 1, 80])
def test_rate_is_the_closed_formula(warmup):
    peak, total = 0.3, 1000
    schedule = warmup_cosine(peak, total, warmup)
    for step in (0, 1, 40, 79, 80, 81, 500, 999, 1000):
        if step < warmup:
            expected = peak * step / warmup
        else:
            expected = peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-5, abs=1e-8), step


@pytest.mark.parametrize("warmup", [-1, 10, 11])
def test_warmup_must_fit_into_the_run(warmup):
    with pytest.raises(ValueError, match=f"warmup_steps={warmup}"):
        warmup_cosine(0.1, 10, warmup)


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
        warmup_cosine(0.5, 10, 2), l2=0.1, factors=[(r"^(?!predictions/)", 0.1)]
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
    optimizer = LayerwiseSGD(0.5, momentum=0.0, nesterov=False, l2=0.1)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones(variable.shape))
    zeros = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    for variable in model.trainable_variables:
        expected = 0.95 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-6, err_msg=variable.path)


def test_factor_zero_freezes():
    model = small_model()
    optimizer = LayerwiseSGD(0.5, l2=0.1, factors=[("features/", 0.0)])
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
        warmup_cosine(0.5, 20, 3), l2=0.1, factors=[(r"^(?!predictions/)", 0.1)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    model.fit(x, y, epochs=4, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.factors == optimizer.factors
    assert again.optimizer.l2 == optimizer.l2
    for each in (model, again):
        each.fit(x, y, epochs=1, shuffle=False, verbose=0)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=1e-6)


def test_recipes_slow_down_only_what_was_learnt_before():
    paths = ("stem_conv/kernel", "head_fc/kernel", "predictions/kernel", "predictions/bias")
    tuned = make_optimizer(Recipe(weights="some.weights.h5", backbone_rate=0.1), 100)
    assert [tuned.rate_factor(path) for path in paths] == [0.1, 0.1, 1.0, 1.0]
    scratch = make_optimizer(Recipe(backbone_rate=0.1), 100)
    assert {scratch.rate_factor(path) for path in paths} == {1.0}


def test_the_exempt_weights_of_an_mtnet():
    """Biases, and scale and offset of batch normalisation; all kernels decay."""
    model = MTNet((8,), (1,), input_shape=(4, 16, 16, 3), classes=2)
    optimizer = make_optimizer(Recipe(weight_decay=0.5), 10)
    for variable in model.trainable_variables:
        exempt = variable.name in optimizer.no_decay
        assert exempt == (len(variable.shape) == 1 or variable.name == "bias"), variable.path


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_loss_falls_in_every_precision(precision):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 4, 16, 16, 3)).astype("float32"), np.array([0, 1, 0, 1])
    recipe = Recipe(learning_rate=0.05, warmup_steps=0)
    with dtype_policy(precision):
        model = MTNet((8,), (1,), input_shape=x.shape[1:], classes=2, dropout_rate=0.0)
        model.compile(
            make_optimizer(recipe, 20), "sparse_categorical_crossentropy", run_eagerly=True
        )
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    losses = []
    for _ in range(6):
        model.reset_metrics()  # else the mean over all steps so far
        losses.append(float(model.train_on_batch(x, y)))
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0], losses
