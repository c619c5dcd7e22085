"""What the README and the pages in docs/ say is true: code runs, commands parse, links lead there.

Code and commands run in a folder of drawn videos under the names that the pages use. `SMALLER`
lists what is changed for that, so that a page of full-size networks takes seconds: fewer layers,
smaller clips, one epoch, no downloads. Commands on data that nobody can draw are parsed only.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "weights/README.md", *ROOT.glob("docs/*.md")])
# What a page says -> what runs here.
SMALLER = {
    'mt.I3D(weights="kinetics400")': 'mt.load_model("small.keras")',  # its weights are 47 MB
    "num_clips=10, num_crops=3, stride": "num_clips=1, num_crops=1, stride",
    'clip.mp4", top=3': 'clip.mp4", top=3, num_clips=1, num_crops=1',
    # Ratio 1 is traced in half the time.
    "mt.MTNetM(ratio=1)": "mt.MTNet((8,), (1,), ratio=1)",
    "mt.MTNetM(": "mt.MTNet((8,), (1,), ratio=1, ",
    "mt.MTNetS(": "mt.MTNet((8,), (1,), ratio=1, ",
    "epochs=30": "epochs=1",
    "--model MTNetS": "--model MTNet --stage_filters 8 --stage_depths 1 --ratio 1",
    "--size 112": "--size 32",
    "--epochs 30": "--epochs 1",
}
NOT_RUN = ("convert-weights",)  # needs a file that must be downloaded by hand
EXTRAS = re.compile(r"\[([a-z0-9,_-]+)\]")


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found, start, language = [], 0, ""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip().startswith("```"):
            if start:
                text = "\n".join(lines[start : number - 1])
                found.append(Block(page, start + 1, language, text))
                start = 0
            else:
                start, language = number, line.strip()[3:]
    return found


def commands(block: Block) -> list[list[str]]:
    """The commands of a block as lists of words, without comments and continuations."""
    text = block.text.replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


ALL = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in ALL if block.language in ("shell", "bash", "sh", "console")]


def write_small_network(path: Path) -> None:
    """A network that knows its clips and classes, in the place of pretrained ones."""
    import keras_mtnet as mt

    model = mt.MTNet((8,), (1,), ratio=1, classes=3, input_shape=(4, 32, 32, 3))
    model.clip_spec = mt.ClipSpec(frames=4, stride=2, size=32, class_names=("a", "b", "c"))
    model.save(path)


def write_kinetics(root: Path, drawn: Path) -> None:
    """Some drawn videos under the names of Kinetics-400, with their list."""
    (root / "annotations").mkdir(parents=True)
    rows = ["label,youtube_id,time_start,time_end,split"]
    (root / "annotations" / "val.csv").write_text(rows[0] + "\n")
    for number, video in enumerate(sorted(drawn.glob("*/*.mp4"))):
        name = f"drawn{number:06d}"
        shutil.copy(video, root / f"{name}_000010_000020.mp4")
        rows.append(f"{video.parent.name},{name},10,20,train")
    (root / "annotations" / "train.csv").write_text("\n".join(rows) + "\n")


def test_blocks_name_their_language():
    assert [block.place for block in ALL if not block.language] == []


@pytest.fixture(scope="module")
def folder(drawn, tmp_path_factory):
    """The working directory of a reader: videos and lists under the names of the pages."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(drawn, folder / "UCF-101", ignore=shutil.ignore_patterns("*.txt"))
    (folder / "videos").symlink_to("UCF-101")
    (folder / "ucfTrainTestlist").mkdir()
    for each in drawn.glob("*.txt"):
        shutil.copy(each, folder / "ucfTrainTestlist")
    shutil.copy(next(drawn.glob("Spin/*.mp4")), folder / "clip.mp4")
    write_kinetics(folder / "k400", drawn)
    write_small_network(folder / "small.keras")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def smaller(text: str) -> str:
    for full, small in SMALLER.items():
        text = text.replace(full, small)
    return text


@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.language == "python" for b in blocks(p))]
)
def test_python_runs(page, folder):
    """All blocks of a page in order, in one namespace, as in a notebook."""
    import keras_mtnet as mt

    names = {"__name__": "__main__", "mt": mt}
    for block in blocks(page):
        if block.language == "python":
            code = compile("\n" * (block.line - 1) + smaller(block.text), str(page), "exec")
            exec(code, names)


def test_readme_commands_run(folder):
    from keras_mtnet import cli

    for block in blocks(ROOT / "README.md"):
        for words in commands(block) if block in SHELL else ():
            if words[0] == "keras-mtnet" and words[1] not in NOT_RUN:
                with pytest.raises(SystemExit) as end:
                    cli.main(shlex.split(smaller(shlex.join(words)))[1:])
                assert not end.value.code, f"{block.place}: {shlex.join(words)}"


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_commands_exist(block):
    """Subcommands and flags, make targets, scripts and their flags, extras."""
    for words in commands(block):
        check_command(words)


def check_command(words: list[str]) -> None:
    while "=" in words[0] or words[0] in ("srun", "taskset", "-c", "0"):
        words = words[1:]
    program, *rest = words
    if program in ("cd", "git", "source") or rest[:2] == ["-m", "venv"]:
        return
    if program == "keras-mtnet":
        from keras_mtnet import cli

        if "..." not in rest:
            cli._parse([program, *rest])
    elif program == "make":
        rules = (ROOT / "Makefile").read_text()
        assert all(f"\n{name}:" in rules for name in rest if "=" not in name), words
    elif program == "python":
        check_script(rest)
    elif program == "pip":
        known = (ROOT / "pyproject.toml").read_text()
        for extra in ",".join(EXTRAS.findall(" ".join(rest))).split(","):
            assert not extra or f"\n{extra} = " in known, words
    else:
        pytest.fail(f"{program}: not a command of this package")


def check_script(words: list[str]) -> None:
    """`python FILE --flag ...`: the file exists and defines each flag."""
    script = ROOT / words[0]
    assert script.is_file(), words
    source = script.read_text()
    if "cli.main" in source:  # passes its flags on to `keras-mtnet`
        return
    for word in words[1:]:
        name = word.split("=")[0]
        if name.startswith("--"):
            assert f'"{name}"' in source or f'"{name[2:]}"' in source, f"{words[0]} has no {name}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            other = (page.parent / path).resolve() if path else page
            assert other.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(other), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_table_of_weights():
    """The README's rows are rows of `list_presets()`; weights/README.md has all of these."""
    import keras_mtnet as mt

    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    shown = [line for line in lines if line.startswith("| `mt.")]
    assert set(shown) <= set(map(weights_row, mt.list_presets()))
    assert len(shown) > 10


def weights_row(row) -> str:
    accuracy = [f"{x:.1f}" if x else "not measured" for x in (row.top1, row.top5)]
    name = f'`mt.{row.model}(weights="{row.weights}")`'
    clip = f"{row.frames} x {row.size} x {row.size}, stride {row.stride}"
    measured_by = row.measured_by.split(" (")[0]
    cells = (name, f"{row.dataset}, {row.classes}", clip, *accuracy, measured_by)
    return f"| {' | '.join(cells)} |"


def test_pictures_are_small():
    for picture in (ROOT / "docs").glob("*.[gp][in][fg]"):
        assert picture.stat().st_size < 1_500_000, picture.name
    assert sys.version_info >= (3, 10)
