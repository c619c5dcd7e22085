import json

import pytest

from keras_mtnet.training import Recipe, dry_run
from keras_mtnet.training.plan import plan
from keras_mtnet.training.preview import describe, duration, learning_rates

SETTINGS = {
    "model": "MTNet",
    "stage_filters": (8,),
    "stage_depths": (1,),
    "frames": 4,
    "size": 16,
    "ratio": 1,
    "batch_size": 4,
    "epochs": 3,
}


def test_a_dry_run_shows_everything_and_writes_only_the_picture(drawn, tmp_path):
    recipe = Recipe(root=str(drawn), output=str(tmp_path / "run"), **SETTINGS)
    out = dry_run(recipe, str(tmp_path / "schedule.png"))
    shown, _, rest = out.partition("\n}\n")
    resolved = json.loads(shown + "}")
    assert resolved["stride"] == 4 and resolved["learning_rate"] == pytest.approx(0.1 * 4 / 64)
    assert "32 training and 16 validation videos of 8 classes, 0 missing" in rest
    assert "epochs 1-3: 24 steps of 4 clips of 4x16x16 at stride 4" in rest
    assert "the 24 steps about" in rest
    assert [path.name for path in tmp_path.iterdir()] == ["schedule.png"]


def test_a_line_tells_the_epochs_of_one_shape():
    recipe = Recipe(**{**SETTINGS, "frames": 16, "size": 64, "stride": 1, "epochs": 9})
    assert len(describe(plan(recipe, 40))) == 1
    lines = describe(plan(recipe.replace(multigrid=True), 40))
    assert lines[0] == "epoch 1: 1 steps of 64 clips of 4x32x32 at stride 4, rate x 16"
    assert lines[-1] == "epochs 8-9: 20 steps of 4 clips of 16x64x64 at stride 1"


def test_rates_are_those_of_the_schedule():
    recipe = Recipe(**{**SETTINGS, "stride": 1, "learning_rate": 0.5, "warmup_steps": 10})
    rates = learning_rates(recipe, plan(recipe, 200))
    assert len(rates) == 150
    assert rates[0] == 0 and rates[10] == pytest.approx(0.5) and rates[5] == pytest.approx(0.25)
    assert rates[80] == pytest.approx(0.25)  # half of the cosine


@pytest.mark.parametrize(
    "seconds, text", [(40, "40 s"), (600, "10.0 min"), (12600, "3.5 h"), (432000, "5.0 days")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text
