"""VideoModel: what it learns from data sets, and what it warns of."""

import logging
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtnet as mt
from keras_mtnet import graphs
from keras_mtnet.clip_spec import ClipSpec


class Data(keras.utils.PyDataset):
    """Two batches of noise that know their clips."""

    def __init__(self, **spec):
        super().__init__()
        self.clip_spec = ClipSpec(**spec)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.full((2, 2, 8, 8, 3), 200, "uint8"), np.array([0, 1])


@pytest.fixture
def model():
    inputs = keras.Input((2, 8, 8, 3), name="clips")
    mean = (0.5, 0.5, 0.5)
    x = mt.layers.ClipNormalization(mean, mean, name="normalization")(inputs)
    x = keras.layers.GlobalAveragePooling3D()(x)
    model = mt.models.VideoModel(inputs, keras.layers.Dense(2, "softmax")(x), name="little")
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_fit_takes_over_the_clip_spec(model):
    data = Data(frames=2, stride=5, class_names=("a", "b"))
    model.fit(data, verbose=0)
    assert model.clip_spec == data.clip_spec
    with pytest.raises(ValueError, match=r"stride=5.*stride=3.*model\.clip_spec = .*ClipSpec\(\)"):
        model.fit(Data(stride=3), verbose=0)
    with pytest.raises(ValueError, match=r"\('a', 'b'\).*\('b', 'a'\)"):
        model.fit(Data(class_names=("b", "a")), verbose=0)
    model.clip_spec = ClipSpec()
    model.fit(Data(stride=3), verbose=0)
    assert model.clip_spec.stride == 3


@pytest.mark.filterwarnings("ignore:.*ran out of data:UserWarning")
@pytest.mark.parametrize("optimizer", ["sgd", "layerwise"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("accumulated, jit", [(None, False), (3, False), (None, True)])
def test_every_step_counts_once(optimizer, known, accumulated, jit):
    """Also where the end of an epoch comes unexpectedly: 3 epochs of 3 steps."""
    inputs = keras.Input((2, 8, 8, 3))
    x = keras.layers.Dropout(0.5, seed=1)(keras.layers.GlobalAveragePooling3D()(inputs))
    model = mt.models.VideoModel(inputs, keras.layers.Dense(2, "softmax")(x))
    make = keras.optimizers.SGD if optimizer == "sgd" else mt.optimizers.LayerwiseSGD
    model.compile(
        make(1e-3, gradient_accumulation_steps=accumulated),
        "sparse_categorical_crossentropy",
        jit_compile=jit,
    )
    batches = tf.data.Dataset.from_tensors(Data()[0]).repeat(3)
    batches = batches if known else batches.filter(lambda x, y: True)
    model.fit(batches, epochs=3, verbose=0)
    (drawn,) = (v.numpy()[1] for v in model.non_trainable_variables if "seed" in v.path)
    assert drawn == 9 and int(model.optimizer.iterations) == 9 // (accumulated or 1)


def test_the_data_are_held_while_fit_runs(model):
    """For callbacks, and no longer: data may fill the memory."""

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self._model.training_data)
            if len(seen) == 3:
                raise FloatingPointError

    seen, data = [], Data()
    assert model.training_data is None
    model.fit(data, verbose=0, callbacks=[Look()])
    assert seen[0] is data and model.training_data is None
    with pytest.raises(FloatingPointError):
        model.fit(data, verbose=0, callbacks=[Look()])
    assert model.training_data is None


def test_training_data_is_not_saved(model, tmp_path):
    class Save(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self._model.save(tmp_path / "model.keras")

    model.fit(tf.data.Dataset.from_tensors(Data()[0]), verbose=0, callbacks=[Save()])
    assert mt.load_model(tmp_path / "model.keras").training_data is None
    model.export(tmp_path / "export", verbose=False)


def small():
    return np.random.default_rng(0).random((2, 2, 8, 8, 3)).astype("float32")


CALLS = {
    "call": lambda model, x: model(x),
    "eager tensor": lambda model, x: model(tf.constant(x)),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, np.array([0, 1]), verbose=0),
    "fit": lambda model, x: model.fit(x, np.array([0, 1]), verbose=0),
}


@pytest.mark.parametrize("call", CALLS)
def test_warns_once_of_scaled_clips(model, caplog, call):
    with caplog.at_level(logging.WARNING, logger="absl"):
        CALLS[call](model, small())
        CALLS[call](model, small())
    (record,) = (each for each in caplog.records if each.name == "absl")
    assert "between 0.0" in record.getMessage() and "0 to 255" in record.getMessage()


@pytest.mark.parametrize("nested", [False, True])
def test_warns_of_a_network_that_scales_its_own_input(model, caplog, nested):
    inputs = keras.Input((2, 8, 8, 3))
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    x = model(scaled) if nested else mt.layers.ClipNormalization((0.5,) * 3, (0.5,) * 3)(scaled)
    whole = keras.Model(inputs, x)
    with caplog.at_level(logging.WARNING, logger="absl"):
        for _ in range(3):
            whole(np.random.default_rng(0).integers(0, 256, (1, 2, 8, 8, 3), "uint8"))
    (record,) = (each for each in caplog.records if each.name == "absl")
    assert "include_preprocessing=False" in record.getMessage()


@pytest.mark.parametrize("clips", [small() * 255, small() - 0.5, np.zeros((1, 2, 8, 8, 3), "f4")])
def test_does_not_warn_of_others(model, caplog, clips):
    with caplog.at_level(logging.WARNING, logger="absl"):
        model.predict(clips, verbose=0)
        model(clips.clip(0, 255).astype("uint8"))
    assert not [each for each in caplog.records if each.name == "absl"]


def test_a_model_that_cannot_carry_a_clip_spec():
    inputs = keras.Input((2,))
    model = mt.models.VideoModel(inputs, keras.layers.Dense(2)(inputs), name="plain")
    with pytest.raises(ValueError, match="plain has no ClipNormalization"):
        model.clip_spec = ClipSpec(stride=2)


def test_the_training_step_is_traced_once(model, monkeypatch):
    """Keras makes the optimizer's variables in the step, and would trace it again without."""
    traced = []
    step = keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda *args: traced.append(args) or step(*args))
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    model.fit(np.zeros((4, 2, 8, 8, 3), "uint8"), np.zeros(4), batch_size=2, verbose=0)
    assert len(traced) == 1 and int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_each_shape_is_traced_once(monkeypatch, method):
    """And none for unknown sizes, as Keras would at the second shape."""
    traced = []
    step = keras.Model.train_step

    def watched(model, data):
        traced.append(tuple(data[0].shape))
        return step(model, data)

    monkeypatch.setattr(keras.Model, "train_step", watched)
    inputs = keras.Input((2, None, None, 3))
    outputs = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling3D()(inputs))
    model = mt.models.VideoModel(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    sizes = [8, 6, 10, 6, 8]
    for size in sizes:
        batch = np.full((2, 2, size, size, 3), 200, "uint8"), np.array([0, 1])
        if method == "fit":
            model.fit(tf.data.Dataset.from_tensors(batch).repeat(2), verbose=0)
        else:
            model.train_on_batch(*batch)
    assert traced == [(2, 2, size, size, 3) for size in sizes[:3]]
    assert int(model.optimizer.iterations) == (10 if method == "fit" else 5)


def test_many_shapes_share_a_step(monkeypatch):
    monkeypatch.setattr(graphs, "SHAPES", 2)
    made = []
    step = graphs.for_each_shape(lambda: made.append([]) or made[-1].append)
    for size in (1, 2, 3, 4, 1, 3):
        step(iter([(np.zeros(size), None)]))
    assert [len(calls) for calls in made] == [2, 1, 3]


def test_the_training_step_is_not_rewritten_and_other_graphs_are(model):
    """TensorFlow's graph optimizer is off for the step alone, and stays as the user set it."""

    def is_off():
        return tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            outside.append(is_off())

    inside, outside = [], []
    step = model.train_step
    model.train_step = lambda *args: inside.append(is_off()) or step(*args)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, 2, 8, 8, 3), "uint8"), np.zeros(2), verbose=0, callbacks=[Watch()])
    assert inside == [True] and outside == [False]


def test_fit_is_silent_about_recurrences_of_one_frame():
    """And not about a variable that no loss reaches. In a process: pytest shows every warning."""
    code = """
import keras_mtnet as mt, keras, numpy as np
for cell in ("gru", "peephole_lstm"):
    model = mt.MTNet((8, 16), (1, 1), classes=2, input_shape=(2, 16, 16, 3), cell=cell)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, 2, 16, 16, 3), "uint8"), np.zeros(2), verbose=0)
unused = keras.Variable([1.0], name="unused")
optimizer = keras.optimizers.SGD()
optimizer.build([unused, model.trainable_variables[0]])
optimizer.apply([None, model.trainable_variables[0].value], [unused, model.trainable_variables[0]])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    warned = [line for line in run.stderr.splitlines() if "Gradients do not exist" in line]
    assert len(warned) == 1 and "unused" in warned[0]
