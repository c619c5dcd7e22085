import math

import keras
import numpy as np
import pytest

from keras_mtnet.training.schedules import scaled_by_epoch, warmup_cosine


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
    scaled = scaled_by_epoch(schedule, [0, 4, 40], [8.0, 2.0, 1.0])
    for step, factor in ((0, 8), (3, 8), (4, 2), (39, 2), (40, 1), (99, 1), (100, 1)):
        assert float(scaled(step)) == pytest.approx(factor * float(schedule(step)), rel=1e-6)


def test_a_scaled_schedule_survives_saving():
    scaled = scaled_by_epoch(warmup_cosine(0.2, 100, 10), [0, 50], [4.0, 1.0])
    config = keras.optimizers.schedules.serialize(scaled)
    again = keras.optimizers.schedules.deserialize(config)
    np.testing.assert_array_equal(
        [float(again(step)) for step in (3, 49, 50, 80)],
        [float(scaled(step)) for step in (3, 49, 50, 80)],
    )
