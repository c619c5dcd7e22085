"""Graphs of TensorFlow: what is said where its fast kernels are off."""

import os
import subprocess
import sys

import pytest

import keras_mtnet as mt
from keras_mtnet import graphs


def test_training_warns_without_onednn(monkeypatch, tmp_path):
    """TensorFlow that was imported first leaves oneDNN off on processors without VNNI."""
    information = tmp_path / "cpuinfo"
    information.write_text("flags : fpu avx2 fma\n")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    with pytest.warns(UserWarning, match="Import keras_mtnet first, or set TF_ENABLE_ONEDNN_OPTS"):
        graphs.warn_without_onednn(information)


@pytest.mark.parametrize(
    ("asked", "flags"), [("1", "avx2"), ("0", "avx2"), (None, "avx2 avx512_vnni"), (None, "asimd")]
)
def test_training_does_not_warn_with_onednn(monkeypatch, tmp_path, recwarn, asked, flags):
    information = tmp_path / "cpuinfo"
    information.write_text(f"flags : fpu {flags}\n")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if asked:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    graphs.warn_without_onednn(information)
    assert not recwarn.list


@pytest.mark.parametrize("first", ["keras", "keras_mtnet"])
def test_the_switch_of_onednn_is_set_where_it_still_works(first):
    code = f"import {first}, keras_mtnet, os; print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split()[-1] == ("1" if first == "keras_mtnet" else "None")


def test_fit_asks(monkeypatch):
    asked = []
    monkeypatch.setattr(graphs, "warn_without_onednn", lambda: asked.append(True))
    model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 16, 16, 3))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.make_train_function()
    model.make_train_function()
    assert len(asked) == 1
