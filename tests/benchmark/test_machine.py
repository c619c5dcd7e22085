"""`keras-mtnet benchmark` says what the machine is, how fast, and whether it is right."""

import json

import keras
import pytest

import keras_mtnet as mt
from keras_mtnet.cli import benchmark, main


@pytest.fixture
def tiny(monkeypatch):
    """Networks by name are built narrow, for clips of one size."""

    def build(name, input_shape, weights):
        return mt.MTNet((8,), (1,), classes=2, input_shape=input_shape, weights=weights, name=name)

    monkeypatch.setattr("keras_mtnet.models.build", build)
    monkeypatch.setattr(benchmark, "CLIPS", ((2, 16),))


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", *arguments])
    return stop.value.code


def test_speed(tiny, tmp_path, capsys):
    output = tmp_path / "figures.json"
    clip = ("--frames", "4", "--size", "16", "--batch_size", "2", "--rounds", "1")
    assert run("--model", "MTNetS", *clip, "--output", str(output)) == 0
    shown, found = capsys.readouterr().out, json.loads(output.read_text())
    assert "prediction" in shown and "2x4x16x16" in shown
    assert [row["what"] for row in found["rows"]] == ["prediction", "training step"]
    assert all(0 < row["median"] and 0 < row["first"] for row in found["rows"])
    assert found["machine"]["versions"]["keras"] == keras.__version__


def test_check(tiny, tmp_path, capsys):
    assert run("--check", "--output", str(tmp_path / "figures.json")) == 0
    shown = capsys.readouterr().out
    assert "ClipConv3D" in shown and "bfloat16" in shown and "WRONG" not in shown


def test_a_wrong_result_is_said(tiny, monkeypatch, capsys):
    monkeypatch.setitem(benchmark_tolerances(), "float16", 0.0)
    assert run("--check") == 1
    captured = capsys.readouterr()
    assert "WRONG in float16" in captured.out and "wrong on this machine" in captured.err


def benchmark_tolerances():
    from keras_mtnet.benchmark.convolutions import TOLERANCES

    return TOLERANCES


def test_unknown_network(capsys):
    assert run("--model", "MTNetZ") == 2
    assert "did you mean MTNet" in capsys.readouterr().err
