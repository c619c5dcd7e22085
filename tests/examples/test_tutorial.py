"""The notebook runs from its first to its last cell, on drawn videos and with a narrow network."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tutorial.ipynb"
# What a cell says -> what runs here.
SMALLER = {
    "SIZE, EPOCHS = 16, 2, 112, 15": "SIZE, EPOCHS = 4, 2, 32, 1",
    "groups=4, clips_per_group=2": "groups=2, clips_per_group=1, frames=12, size=(64, 48)",
    "(24, 48), (1, 1)": "(8,), (1,)",
    "num_clips=3": "num_clips=1",
}


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_outputs_are_stripped(notebook):
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert all(cell["id"] for cell in notebook["cells"])
    assert notebook["nbformat"] == 4


def test_cells_run(notebook, tmp_path, monkeypatch):
    """Cells in order, in one namespace; the weights of I3D, where they are installed, stay out."""
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    from keras_mtnet.weights import packaged

    def missing(preset):
        raise FileNotFoundError("not in this test")

    monkeypatch.setattr(packaged, "locate_checkpoint", missing)
    monkeypatch.setenv("KERAS_MTNET_HOME", str(tmp_path / "home"))
    text = "\n".join(source(cell) for cell in notebook["cells"])
    assert [part for part in SMALLER if part not in text] == []
    names = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            code = source(cell)
            for full, small in SMALLER.items():
                code = code.replace(full, small)
            exec(compile(code, f"cell {number}", "exec"), names)
    assert len(names["result"].names) == len(names["test_videos"]) == 8
    assert (tmp_path / "tutorial" / "export" / "saved_model.pb").is_file()
    assert sorted(path.name for path in (tmp_path / "tutorial").glob("*.png")) == [
        *("confusion.png", "curves.png", "video.png")
    ]


def test_real_weights(notebook, i3d_checkpoint, real_data, capsys):
    """The cell of the real weights names the action of DeepMind's clip."""
    import keras_mtnet as mt

    cell = next(source(c) for c in notebook["cells"] if "known = mt.I3D(" in source(c))
    cell = cell.replace('weights="kinetics400"', f"weights={str(i3d_checkpoint)!r}")
    names = {"mt": mt, "video": str(real_data / "i3d" / "v_CricketShot_g04_c01_rgb.gif")}
    exec(cell, names)
    assert capsys.readouterr().out.splitlines()[0].endswith("%  playing cricket")


def source(cell: dict) -> str:
    return "".join(cell["source"])
