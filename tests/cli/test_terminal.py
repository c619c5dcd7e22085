"""Help, usage and errors, as a terminal shows them."""

import os
import shutil
import subprocess
import sys

import pytest
from command_line import run

from keras_mtnet import cli

OUTPUT = ("train", "--root", "r", "--output", "o")


def test_help_needs_no_tensorflow(capfd):
    """So it comes at once."""
    script = (
        "import sys; from keras_mtnet import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "finally: assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--precision {float32,mixed_float16,mixed_bfloat16,auto}" in done.stdout
    status, out, _ = run(capfd, "--help")
    assert status == 0
    names = "info list train evaluate predict export pack check-videos convert-weights".split()
    assert all(f"  {name} " in out or f"  {name}\n" in out for name in names)


def test_help_shows_defaults_and_recipes(capfd):
    _, out, _ = run(capfd, "train", "--help")
    text = " ".join(out.split())
    assert "share of the local branch, 0 < ratio <= 1 (default: 7/8)" in text
    assert "ucf101 (data=ucf101 model=MTNetM epochs=150" in text


def test_help_says_what_is_required_and_what_a_value_is(capfd):
    _, out, _ = run(capfd, "train", "--help")
    text = " ".join(out.split())
    assert "(default: )" not in text and "STR" not in text and "INTEGERS" not in text
    assert "--output DIR new folder for the run, outside the videos (required)" in text
    assert "--stage_filters N,N,... " in text and "--root DIR " in text and "--epochs N " in text
    for command in ("predict", "evaluate", "export", "pack", "check-videos", "info"):
        _, out, _ = run(capfd, command, "--help")
        assert "(default: )" not in out and "(default: None)" not in out


@pytest.mark.parametrize(
    "message, arguments",
    [
        ("COMMAND", ()),
        ("invalid choice: 'trian'", ("trian",)),
        ("did you mean train?", ("trian",)),
        ("expected TxHxW, as 16x256x256, not '16x256'", ("info", "MTNetS", "--input", "16x256")),
        ("did you mean MTNetS?", ("info", "MTNet_S")),
        ("required: --output", ("train",)),
        ("invalid choice: 'onxx'", ("export", "--run", "r", "--output", "o", "--format", "onxx")),
        ("unrecognized arguments: --resum; did you mean --resume?", (*OUTPUT, "--resum")),
        ("--batch-size 4; did you mean --batch_size?", (*OUTPUT, "--batch-size", 4)),
        ("did you mean --num_clips?", ("predict", "--run", "r", "x.mp4", "--clips=3")),
        ("invalid int value: 'many'", (*OUTPUT, "--epochs", "many")),
        ("--multigrid: expected 0 or 1, not 'maybe'", (*OUTPUT, "--multigrid", "maybe")),
        ("not allowed with argument --run", ("export", "--run", "r", "--model", "m.keras")),
        ("one of the arguments --run --model is required", ("predict", "x.mp4")),
    ],
)
def test_wrong_usage_is_status_2(capfd, message, arguments):
    status, out, err = run(capfd, *arguments)
    assert (status, out) == (2, "")
    assert message in err and "Traceback" not in err
    assert err.startswith("keras-mtnet") and err.count("\n") == 1


@pytest.mark.parametrize(
    "value, given",
    [
        (True, ["--multigrid"]),
        (True, ["--multigrid", "1"]),
        (True, ["--multigrid=true"]),
        (False, ["--multigrid", "0"]),
        (False, ["--nomultigrid"]),
        (False, ["--multigrid", "--nomultigrid"]),
    ],
)
def test_switches(value, given):
    arguments = cli._parse(["keras-mtnet", *OUTPUT, *given])
    assert arguments.multigrid is value
    assert "multigrid" not in cli._parse(["keras-mtnet", *OUTPUT])  # the recipe's value holds


def test_terminals_that_show_few_characters(drawn, tmp_path):
    """Names are written with escapes for what the terminal lacks."""
    video = next((drawn / "Fall").glob("*.mp4"))
    shutil.copy(video, tmp_path / "日本.mp4")
    shutil.copy(video, os.fsencode(tmp_path) + b"/caf\xe9.mp4")  # a name that is not UTF-8
    for encoding, shown in (("cp1252", "\\u65e5\\u672c.mp4"), ("utf-8", "日本.mp4")):
        done = subprocess.run(
            [sys.executable, "-m", "keras_mtnet.cli", "check-videos", "--root", tmp_path],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(encoding)
        assert shown in text and "caf\\udce9.mp4" in text and "2 videos, 0 damaged" in text


def test_tracebacks_only_on_demand(capfd, tmp_path):
    command = ("predict", "--run", tmp_path, "x.mp4")
    _, _, err = run(capfd, *command)
    assert "not the folder of a finished run" in err and "Traceback" not in err
    _, _, err = run(capfd, *command, "--verbosity=1")
    assert "Traceback" in err and "not the folder of a finished run" in err
    run(capfd, *command, "--verbosity=-1")


def test_info(capfd):
    status, out, err = run(capfd, "info", "MTNetS", "--input", "16x64x48", "--classes", 101)
    assert (status, err) == (0, "")
    assert out.startswith("mtnet_s, one clip of 16x64x48x3")
    _, own, _ = run(
        *(capfd, "info", "MTNet", "--stage_filters", "8,16", "--stage_depths", "1,1"),
        *("--ratio", "1/2", "--input", "4x16x16"),
    )
    assert "stage2" in own and "stage3" not in own


def test_list(capfd):
    status, out, _ = run(capfd, "list")
    assert status == 0 and "MTNetM" in out and "hacs" in out
