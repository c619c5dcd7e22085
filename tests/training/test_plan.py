import numpy as np
import pytest

from keras_mtnet.training import Recipe
from keras_mtnet.training.plan import CLOSING, Epoch, phases, plan, total_steps


def planned(videos: int, **settings) -> list[Epoch]:
    return plan(Recipe(**{"stride": 2, "size": 224, "frames": 16, **settings}), videos)


@pytest.mark.parametrize("videos, batch_size", [(64, 8), (65, 8), (3, 8), (9537, 64)])
@pytest.mark.parametrize("multigrid", [False, True])
def test_epochs_follow_one_another_and_see_as_many_clips(videos, batch_size, multigrid):
    epochs = planned(videos, batch_size=batch_size, epochs=12, multigrid=multigrid)
    step = 0
    for number, epoch in enumerate(epochs):
        assert (epoch.number, epoch.first_step) == (number, step)
        assert epoch.steps * epoch.batch_size >= videos > (epoch.steps - 1) * epoch.batch_size
        step += epoch.steps
    assert total_steps(epochs) == step
    assert [epoch for part in phases(epochs) for epoch in part] == epochs
    for part in phases(epochs):
        assert len({epoch.shape for epoch in part}) == 1


def test_a_plain_epoch_is_whole_batches_of_one_shape():
    (epoch,) = planned(9537, batch_size=64, epochs=1)
    assert epoch == Epoch(0, 0, 150, 64, 16, 2, 224, 1.0)
    assert len(phases(planned(9537, batch_size=64, epochs=9))) == 1


def test_multigrid_has_the_cycles_of_its_paper():
    """Table 2 of Wu et al. 2020: batch x8, x4, x2, x1 with the shapes that make up for it."""
    epochs = planned(10_000, batch_size=8, epochs=27, multigrid=True)
    closing = int(np.ceil(27 * CLOSING))
    long = [(e.frames, e.stride) for e in epochs]
    assert long[:23] == [(4, 8)] * 6 + [(8, 4)] * 12 + [(16, 2)] * 5
    sizes = [e.size for e in epochs]
    assert sizes[:6] == [112, 160, 160] * 2  # 224 / 2 and 224 / sqrt(2)
    assert sizes[12:18] == [112, 160, 224] * 2
    assert all(
        (e.batch_size, e.frames, e.size, e.rate) == (8, 16, 224, 1) for e in epochs[-closing:]
    )
    # The arithmetic of a step stays the same but for rounding, and the rate goes by the batch.
    for epoch in epochs:
        work = epoch.batch_size * epoch.frames * epoch.size**2
        assert work == pytest.approx(8 * 16 * 224**2, rel=0.05) or epoch.frames == 8
        assert epoch.rate == epoch.batch_size / 8
        assert epoch.frames * epoch.stride == 32


def test_the_arithmetic_that_multigrid_saves():
    def work(multigrid):
        epochs = planned(10_000, batch_size=8, epochs=48, multigrid=multigrid)
        return sum(e.steps * e.batch_size * e.frames * e.size**2 for e in epochs)

    assert work(True) < 0.45 * work(False)
