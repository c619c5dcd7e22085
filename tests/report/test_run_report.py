import base64
import io
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet import cli
from keras_mtnet.report import write_report

pytest.importorskip("matplotlib")
ODD = '<b>jump & "run"'
VIEWS = {"num_clips": 1, "num_crops": 1, "verbose": False}


class Page(HTMLParser):
    """Elements of a page, its text, and what it would fetch."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.sources, self.words = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def run(drawn, tmp_path_factory):
    """A run on videos of two classes, one with a name that HTML would misread."""
    folder = tmp_path_factory.mktemp("report")
    for source, name in (("Spin", ODD), ("Fall", "fall")):
        shutil.copytree(drawn / source, folder / "videos" / name)
    recipe = mt.training.RECIPES["scratch"].replace(
        root=folder / "videos",
        output=folder / "run",
        model="MTNet",
        stage_filters=(8,),
        stage_depths=(1,),
        frames=4,
        size=32,
        stride=2,
        batch_size=4,
        epochs=2,
    )
    mt.training.train(recipe)
    return folder / "run"


@pytest.fixture(scope="module")
def path(run):
    return write_report(run, hardest=1, **VIEWS)


def test_page_is_whole_and_alone(run, path):
    page = Page(path)
    assert path == run / "report.html"
    assert not {"script", "iframe", "b"} & set(page.elements)
    assert "://" not in path.read_text()
    assert all(source.startswith("data:") for source in page.sources)
    for title in ("Test", "Hardest videos", "Learning curves", "Recipe", "Costs", "Environment"):
        assert title in page.words
    assert ODD in page.text and "videos scored" in page.text
    assert "tensorflow" in page.text and "multiply-adds" in page.text
    assert "Not written by a run" not in page.text


def test_no_picture_is_blank(path):
    from PIL import Image

    pictures = re.findall(r"data:image/\w+;base64,([^\"]+)", path.read_text())
    assert len(pictures) == 4  # confusion, kept frames, saliency, curves
    for data in pictures:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
        assert pixels.std() > 5 and min(pixels.shape) > 100


def test_figures_are_those_of_the_test(run, path):
    model, recipe = mt.training.load_run(run)
    videos = mt.data.read_split("folder", recipe.root, subset="test")
    result = mt.evaluate_views(model, videos, **VIEWS)
    text = Page(path).text
    assert f"top-1 {result.top1:.4f}" in text
    own = result.scores[np.arange(result.scored), result.labels]
    assert result.names[own.argmin()] in text and f"{own.min():.3f}" in text
    costs = mt.count_costs(model)
    assert f"{costs.params:,}" in text and f"{costs.macs:,}" in text


def test_foreign_files_are_named(run, tmp_path, caplog):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "notes <i>.txt").write_text("mine")
    output = tmp_path / "page.html"
    write_report(copy, output, hardest=0, **VIEWS)
    assert "Not written by a run, and not read: notes <i>.txt" in Page(output).text
    assert "notes <i>.txt" in caplog.text


def test_moved_videos_and_lost_history(run, tmp_path, caplog):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "history.csv").unlink()
    page = Page(write_report(copy, root=tmp_path / "nowhere", **VIEWS))
    assert "Not tested" in page.text and "There is no history.csv." in page.text
    assert "nowhere" in caplog.text


@pytest.mark.parametrize("name", ["config.json", "history.csv"])
def test_broken_files_are_named(run, tmp_path, name):
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))
    (copy / name).write_text("nonsense")
    with pytest.raises(ValueError, match=name):
        write_report(copy, root=tmp_path / "nowhere")
    assert not (copy / "report.html").exists()


def test_command(run, tmp_path, capfd):
    output = tmp_path / "page.html"
    command = ["report", "--run", run, "--output", output, "--hardest", 0, "--num_clips", 1]
    with pytest.raises(SystemExit) as end:
        cli.main([str(each) for each in [*command, "--num_crops", 1]])
    out, err = capfd.readouterr()
    assert not end.value.code, err
    assert f"The report is in {output}" in out and output.is_file()
    with pytest.raises(SystemExit) as end:
        cli.main(["report", "--run", str(tmp_path)])
    assert end.value.code == 1 and "not the folder of a finished run" in capfd.readouterr().err
