"""What `import keras_mtnet` brings: names on first use, and saved models that Keras can load."""

import importlib.util
import os
import subprocess
import sys

import pytest

import keras_mtnet as mt

OTHERS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]


def run(code, backend="tensorflow"):
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # most of the time would go into compiling
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return done.stdout.decode()


def test_nothing_heavy_is_imported():
    code = "import sys, keras_mtnet as mt; mt.list_presets(); print(*sys.modules)"
    assert not {"keras", "tensorflow", "numpy", "h5py"} & set(run(code).split())


def test_every_public_name_is_there():
    for name in mt.__all__:
        assert getattr(mt, name) is not None and name in dir(mt)
    assert mt.weights.load_weights and mt.presets.find
    with pytest.raises(AttributeError, match="no attribute 'MTNetXL'"):
        _ = mt.MTNetXL


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network of each family, and one that a user made of layers of ours."""
    import keras

    folder = tmp_path_factory.mktemp("saved")
    paper = mt.MTNet((8,), (1,), classes=2)
    i3d = mt.I3D(classes=2, input_shape=(16, 32, 32, 3))
    released = mt.MTNet((8,), (1,), classes=2, variant="released")
    for name, model in {"paper": paper, "i3d": i3d, "released": released}.items():
        model.clip_spec = mt.ClipSpec(16, stride=3, size=32, class_names=("run", "jump"))
        model.save(folder / f"{name}.keras")
    own = [keras.Input((4, 8, 8, 4)), mt.layers.SoftPool(), mt.layers.MTConv(8, ratio=0.5)]
    keras.Sequential(own).save(folder / "own.keras")
    return folder


LOAD = """
{first}
import keras
for name in ("paper", "released", "own"):
    model = keras.models.load_model(r"{folder}/" + name + ".keras")
print(keras.models.load_model(r"{folder}/paper.keras").clip_spec.class_names)
"""
FIRST = ["import keras_mtnet", "import keras, keras_mtnet", "import keras_mtnet.layers"]
FIRST += ["from keras_mtnet.models.mtnet import MTNet", "import keras_mtnet.weights"]


@pytest.mark.parametrize("first", FIRST)
def test_keras_loads_our_models_in_a_fresh_process(saved, first):
    assert run(LOAD.format(first=first, folder=saved)) == "('run', 'jump')\n"


PREDICT = """
import keras_mtnet as mt
import keras
for name in ("i3d", "released", "paper"):
    model = keras.models.load_model(r"{folder}/" + name + ".keras")
    assert model.clip_spec == mt.ClipSpec(16, 3, 32, class_names=("run", "jump")), model.clip_spec
    print(*sorted(name for name, score in mt.predict_video(model, r"{video}")))
"""


def test_a_loaded_model_needs_no_arguments_to_predict(saved, drawn):
    video = next(drawn.glob("*/*.mp4"))
    assert run(PREDICT.format(folder=saved, video=video)) == "jump run\n" * 3


@pytest.mark.parametrize("backend", OTHERS)
def test_keras_loads_our_models_on_other_backends(saved, backend):
    """Where importing TensorFlow fails."""
    first = "import sys; sys.modules['tensorflow'] = None; import keras_mtnet"
    assert run(LOAD.format(first=first, folder=saved), backend) == "('run', 'jump')\n"


def test_load_model(saved, tmp_path):
    """A file, or the folder of a run."""
    (tmp_path / "model.keras").write_bytes((saved / "paper.keras").read_bytes())
    for path in (saved / "paper.keras", str(tmp_path)):
        assert mt.load_model(path, compile=False).clip_spec.stride == 3
