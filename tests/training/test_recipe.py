import dataclasses
import json
from pathlib import Path

import pytest

from keras_mtnet.data.augment import PRESETS
from keras_mtnet.training import RECIPES, Recipe


def test_json_round_trip():
    recipe = Recipe(
        root="a", output="b", model="MTNet", stage_filters=(24, 48), stage_depths=(1, 2), ratio=0.5
    )
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert json.loads(recipe.to_json())["stage_filters"] == [24, 48]


def test_rate_scales_with_the_batch_unless_given():
    assert Recipe(base_learning_rate=0.1, batch_size=16).peak_learning_rate == pytest.approx(0.025)
    assert (
        Recipe(base_learning_rate=0.1, batch_size=16, learning_rate=0.3).peak_learning_rate == 0.3
    )


def test_ucf101_is_the_papers_transfer_setting():
    recipe = RECIPES["ucf101"]
    assert (recipe.epochs, recipe.base_learning_rate, recipe.backbone_lr_multiplier) == (
        150,
        0.01,
        0.1,
    )
    assert recipe.warmup_steps == 0
    assert recipe.momentum == 0.9 and recipe.weight_decay == 1e-4


def test_the_papers_recipe():
    """SPEC: SGD, Nesterov 0.9, decay 1e-4, 0.1 for 64 clips, 8,000 steps of warm-up, multigrid."""
    for name in ("hacs", "kinetics400", "kinetics700", "moments"):
        recipe = RECIPES[name]
        assert recipe.data == name and recipe.multigrid and recipe.precision == "auto"
        assert (recipe.batch_size, recipe.peak_learning_rate, recipe.frames) == (64, 0.1, 16)
        assert (recipe.warmup_steps, recipe.momentum, recipe.weight_decay) == (8000, 0.9, 1e-4)
    assert RECIPES["hacs"].replace(batch_size=16).peak_learning_rate == pytest.approx(0.025)
    assert RECIPES["hacs"].replace(
        batch_size=16, gradient_accumulation_steps=2
    ).peak_learning_rate == pytest.approx(0.05)


def test_single_augmentations_replace_those_of_a_preset():
    strong = Recipe(augment="strong")
    changed = Recipe(augment="strong", flip=0, mix_up=0, cut_mix=0, hue=0.1)
    assert strong.augmentation() == PRESETS["strong"] and strong.soft_labels
    expected = dataclasses.replace(PRESETS["strong"], flip=0, mix_up=0, cut_mix=0, hue=0.1)
    assert changed.augmentation() == expected and not changed.soft_labels
    assert Recipe(label_smoothing=0.1).soft_labels


def test_paths_are_taken_wherever_text_is():
    recipe = Recipe(root=Path("a"), output=Path("b"), weights=Path("c"), annotations=Path("d"))
    assert recipe == Recipe(root="a", output="b", weights="c", annotations="d")
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_every_network_with_weights_can_be_trained():
    recipe = Recipe(model="I3D", weights="kinetics400")
    assert recipe.model_options() == {"dropout_rate": 0.5}
    with pytest.raises(ValueError, match=r"model='I3D' has no ratio\. Received: ratio=1"):
        Recipe(model="I3D", ratio=1)
    assert Recipe(model="SlowFast50", variant="4x16").model_options()["variant"] == "4x16"
    with pytest.raises(ValueError, match=r"variants 8x8, 4x16\. Received: variant='paper'"):
        Recipe(model="SlowFast50", variant="paper")
    with pytest.raises(ValueError, match="model='X3DM' has no variant"):
        Recipe(model="X3DM", variant="paper")
    with pytest.raises(ValueError, match="model='MTNet' has no variant"):
        Recipe(model="MTNet", stage_filters=(8,), stage_depths=(1,), variant="paper")


def test_every_setting_has_a_help():
    for field in dataclasses.fields(Recipe):
        assert field.metadata["help"], field.name


@pytest.mark.parametrize(
    "name, value",
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("frames", 0),
        ("stride", 0),
        ("learning_rate", -0.1),
        ("base_learning_rate", 0),
        ("warmup_steps", -1),
        ("weight_decay", -1e-4),
        ("momentum", 1.0),
        ("dropout_rate", 1.0),
        ("ratio", 0.0),
        ("ratio", 1.5),
        ("precision", "float8"),
        ("label_smoothing", 1.0),
        ("global_clipnorm", 0.0),
        ("gradient_accumulation_steps", 0),
        ("ema_momentum", 1.0),
        ("batch_norm", "none"),
        ("checkpoint_steps", 0),
        ("checkpoint_minutes", 0.0),
        ("keep_checkpoints", 0),
        ("strategy", "tpu"),
        ("model", "MTNetXL"),
        ("model", "MTNet"),
        ("stage_filters", (8, 16)),
        ("sampling", "random"),
        ("fps", 0),
        ("flip", 1.5),
        ("hue", 0.6),
        ("augment", "weak"),
    ],
)
def test_bad_values_are_named(name, value):
    with pytest.raises(ValueError, match=name) as caught:
        Recipe(**{name: value})
    assert str(value) in str(caught.value)
