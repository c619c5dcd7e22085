import math

import keras
import numpy as np
import pytest

from keras_mtnet.optimizers import LayerwiseSGD
from keras_mtnet.training import Recipe
from keras_mtnet.training.plan import plan
from keras_mtnet.training.schedules import ScaledByEpoch, make_optimizer, warmup_cosine


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


def test_rates_scale_with_the_batches_of_their_epochs():
    """k times the batch, k times the rate; nothing else of the schedule changes."""
    schedule = warmup_cosine(0.2, 100, 10)
    scaled = ScaledByEpoch(schedule, [0, 4, 40], [8.0, 2.0, 1.0])
    for step, factor in ((0, 8), (3, 8), (4, 2), (39, 2), (40, 1), (99, 1), (100, 1)):
        assert float(scaled(step)) == pytest.approx(factor * float(schedule(step)), rel=1e-6)


def test_a_scaled_schedule_survives_saving():
    scaled = ScaledByEpoch(warmup_cosine(0.2, 100, 10), [0, 50], [4.0, 1.0])
    config = keras.optimizers.schedules.serialize(scaled)
    again = keras.optimizers.schedules.deserialize(config)
    np.testing.assert_array_equal(
        [float(again(step)) for step in (3, 49, 50, 80)],
        [float(scaled(step)) for step in (3, 49, 50, 80)],
    )


def optimizer_of(recipe: Recipe, videos: int = 160, stages: int = 0) -> LayerwiseSGD:
    recipe = recipe.replace(stride=1, size=16)
    return make_optimizer(recipe, plan(recipe, videos), stages)


def test_recipes_slow_down_only_what_was_learned_before():
    paths = ("stem_conv/kernel", "head_fc/kernel", "predictions/kernel", "predictions/bias")
    tuned = optimizer_of(Recipe(weights="some.weights.h5", backbone_lr_multiplier=0.1))
    assert [tuned.lr_multiplier(path) for path in paths] == [0.1, 0.1, 1.0, 1.0]
    scratch = optimizer_of(Recipe(backbone_lr_multiplier=0.1))
    assert {scratch.lr_multiplier(path) for path in paths} == {1.0}


def test_unfreezing_goes_from_the_head_to_the_stem():
    recipe = Recipe(weights="w", batch_size=16, epochs=8, freeze_epochs=2, unfreeze_every=2)
    starts = dict(optimizer_of(recipe, videos=160, stages=2).trainable_from)
    # 10 steps an epoch; the stem's turn would come after the run
    assert starts == {"^head_": 20, "^stage2_": 40, "^stage1_": 60, "^(?!predictions/)": 80}
    assert optimizer_of(recipe.replace(freeze_epochs=0)).trainable_from == ()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"gradient_accumulation_steps": 11}, "gradient_accumulation_steps=11 .* run has 10"),
        ({"warmup_steps": 10}, "warmup_steps must be .* 10 steps of the run"),
    ],
)
def test_a_run_that_is_too_short(settings, message):
    with pytest.raises(ValueError, match=message):
        optimizer_of(Recipe(epochs=1, batch_size=16, **settings))


def test_settings_have_the_names_that_keras_gives_them():
    recipe = Recipe(
        ema_momentum=0.9, global_clipnorm=2.0, gradient_accumulation_steps=3, weight_decay=0.1
    )
    config = optimizer_of(recipe).get_config()
    assert config["use_ema"] and not config["average_at_end"]
    for name in ("ema_momentum", "global_clipnorm", "gradient_accumulation_steps", "weight_decay"):
        assert config[name] == getattr(recipe, name)
