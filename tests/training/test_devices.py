import types

import keras
import pytest
import tensorflow as tf

from keras_mtnet.training.devices import dtype_policy, make_strategy, resolve_precision


def test_the_policy_holds_inside_only():
    before = keras.config.dtype_policy().name
    with pytest.raises(RuntimeError), dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        raise RuntimeError
    assert keras.config.dtype_policy().name == before


def test_a_batch_must_divide_among_the_devices(monkeypatch):
    cpus = [types.SimpleNamespace(name=f"/CPU:{i}") for i in range(2)]
    monkeypatch.setattr(tf.config, "list_logical_devices", {"GPU": [], "CPU": cpus}.__getitem__)
    with pytest.raises(ValueError, match=r"divisible by the 2 devices.*batch_size=5"):
        make_strategy("mirrored", 5)


def test_the_cpu_cannot_be_split_once_it_runs():
    tf.constant(1) + 1
    with pytest.raises(ValueError, match="logical_cpus=7 comes too late"):
        make_strategy("none", 8, logical_cpus=7)


@pytest.mark.parametrize(
    "capability, expected",
    [
        (None, {"auto": "float32", "mixed_bfloat16": "mixed_bfloat16", "mixed_float16": None}),
        ((6, 1), {"auto": "float32", "mixed_bfloat16": None, "mixed_float16": "mixed_float16"}),
        ((7, 5), {"auto": "mixed_float16", "mixed_bfloat16": None}),
        ((9, 0), {"auto": "mixed_bfloat16", "mixed_float16": "mixed_float16"}),
    ],
)
def test_precision_is_what_the_device_has(monkeypatch, capability, expected):
    """None stands for a refusal that names the way out; capability None for no GPU."""
    gpus = [] if capability is None else ["gpu"]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": capability},
    )
    assert resolve_precision("float32") == "float32"
    for name, found in expected.items():
        if found is None:
            with pytest.raises(ValueError, match=f"precision='{name}' needs a GPU"):
                resolve_precision(name)
        else:
            assert resolve_precision(name) == found
