import json
import pickle
import zipfile

import keras
import numpy as np
import pytest

from keras_mtnet.callbacks.checkpoint import (
    CheckpointError,
    TrainingState,
    find_checkpoints,
    load_checkpoint,
    remove_unfinished,
    save_checkpoint,
)


def trained(units: int = 4, steps: int = 3, seed: int = 0) -> keras.Model:
    """A model with everything a checkpoint has to hold, after some steps."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((3,))
    x = keras.layers.Dense(units, name="features")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.5)(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="predictions")(x))
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    )
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, weighted_metrics=[accuracy])
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(None, np.zeros(1), np.zeros((1, 2)))
    model.reset_metrics()
    train(model, steps)
    return model


def train(model: keras.Model, steps: int) -> list[list[float]]:
    rng = np.random.default_rng(5)
    return [
        model.train_on_batch(rng.normal(size=(6, 3)).astype("float32"), rng.integers(0, 2, 6))
        for _ in range(steps)
    ]


def all_variables(model: keras.Model) -> list[np.ndarray]:
    parts = (model.variables, model.optimizer.variables, model.metrics_variables)
    return [keras.ops.convert_to_numpy(v) for part in parts for v in part]


def test_everything_comes_back(tmp_path):
    """Weights, dropout, loss scale, averages, metrics: the next steps are the same, bit for bit."""
    model = trained()
    state = TrainingState(2, 5, 12, {"loss": [0.5, 0.25]}, [0, 1], [{"best": [0.75, -0.5]}])
    path = save_checkpoint(tmp_path, model, state)
    other = trained(seed=1, steps=1)
    checkpoint = load_checkpoint(path)
    checkpoint.restore(other)
    assert checkpoint.state == state
    for one, two in zip(all_variables(model), all_variables(other), strict=True):
        np.testing.assert_array_equal(one, two)
    assert train(model, 3) == train(other, 3)
    for one, two in zip(all_variables(model), all_variables(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_newest_are_kept(tmp_path):
    model = trained(steps=0)
    for step in (1, 2, 10, 11):
        save_checkpoint(tmp_path, model, TrainingState(step=step), keep=2)
    assert [p.name for p in find_checkpoints(tmp_path)] == [
        "step-000000011.npz",
        "step-000000010.npz",
    ]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    model = trained(steps=0)
    save_checkpoint(tmp_path, model, TrainingState(step=1))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def half(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, model, TrainingState(step=2), keep=1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_what_a_kill_left_is_cleaned(tmp_path):
    path = save_checkpoint(tmp_path, trained(steps=0), TrainingState(step=1))
    (tmp_path / ".0a1b2c3d.step-000000002.npz").write_bytes(b"half")
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_another_network_is_refused_and_nothing_changed(tmp_path):
    path = save_checkpoint(tmp_path, trained(units=4), TrainingState())
    other = trained(units=5)
    before = all_variables(other)
    with pytest.raises(
        CheckpointError, match=r"another network: .*shape \(3, 4\) there and \(3, 5\)"
    ):
        load_checkpoint(path).restore(other)
    for one, two in zip(before, all_variables(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_damage_is_told_and_nothing_changed(tmp_path):
    model = trained()
    path = save_checkpoint(tmp_path, model, TrainingState())
    whole = path.read_bytes()
    before = all_variables(model)
    flipped = bytearray(whole)
    kernel = np.array(model.get_layer("features").kernel).tobytes()
    flipped[whole.index(kernel) + len(kernel) // 2] ^= 1
    for damaged in (whole[: len(whole) // 2], b"", b"PK\x03\x04 no zip", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"step-000000000\.npz is damaged"):
            load_checkpoint(path).restore(model)
    for one, two in zip(before, all_variables(model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_bfloat16_comes_back(tmp_path):
    """NumPy's files know no such type."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")])
    model.compile("sgd", "mse")
    variable = model.layers[0].bias
    variable.assign([0.7109375, -3.0])
    path = save_checkpoint(tmp_path, model, TrainingState())
    variable.assign([0, 0])
    load_checkpoint(path).restore(model)
    assert keras.ops.convert_to_numpy(variable).tolist() == [0.7109375, -3.0]


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint was executed",))


def test_nothing_in_a_file_is_executed(tmp_path):
    path = tmp_path / "step-000000001.npz"
    np.savez(path, state=np.array([Bomb()], dtype=object))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def test_a_file_without_a_place_is_damaged(tmp_path):
    path = tmp_path / "step-000000001.npz"
    for state in (b"no json", json.dumps({"place": 1}).encode(), b"[]"):
        with zipfile.ZipFile(path, "w"):
            pass
        np.savez(path, state=np.frombuffer(state, "uint8"))
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)
