"""The rules of the house: which folder may import which, read from the sources themselves."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "keras_mtnet"
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

# From the bottom up. A room imports from the levels below its own and, without a circle, from
# rooms beside it. Rooms of the lowest level import nothing but each other.
LEVELS = (
    ("checks", "clip_spec", "files", "graphs", "networks", "presets"),
    ("layers", "video"),
    ("data", "weights"),
    ("models",),
    ("convert", "costs", "surgery"),
    ("callbacks", "evaluation", "explain", "inference", "optimizers", "plots", "scoring"),
    ("app", "benchmark", "export", "report", "training"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# Read and written without TensorFlow; they must work where it is not installed.
NO_TENSORFLOW = {
    *("checks", "clip_spec", "files", "layers", "models", "networks", "presets", "video")
}
# Talks to people at a terminal; everything else logs.
PRINTS = {"cli", "report"}
# Prints where `verbose=True`, as `keras.utils.image_dataset_from_directory` does.
VERBOSE = Path("data/directory.py")


def room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def parse(path: Path) -> ast.Module:
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


def imported_modules(path: Path) -> list[tuple[str, int]]:
    """Absolute names of all modules a file imports, also within functions, with line numbers.

    What only type checkers see (`if TYPE_CHECKING:`) is left out. `from package import name` gives
    `package.name`, whether that is a module or not.
    """
    tree = parse(path)
    unseen = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for statement in branch.body
        for node in ast.walk(statement)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = ("keras_mtnet", *path.parent.parts)
                base = ".".join(filter(None, [*parents[: len(parents) + 1 - node.level], base]))
            found += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]
    return found


def arrows() -> dict[tuple[str, str], list[str]]:
    """(room, room that it imports) -> the places, `file:line`."""
    found = defaultdict(list)
    for path in FILES:
        if path == Path("__init__.py"):  # names its rooms in a table and loads them on first use
            continue
        for name, line in imported_modules(path):
            parts = name.split(".")
            if parts[0] == "keras_mtnet":
                assert parts[1:], f"{path}:{line}: name the module, not the package"
                if parts[1] != room(path) and not parts[1].startswith("__"):
                    found[room(path), parts[1]].append(f"{path}:{line}")
    return found


def test_every_room_has_a_level():
    assert {room(path) for path in FILES} - {"__init__"} <= set(LEVEL)


def test_arrows_point_down():
    upward = [
        f"{source} -> {target}: {', '.join(places)}"
        for (source, target), places in arrows().items()
        if LEVEL[source] < LEVEL.get(target, len(LEVELS))
    ]
    assert not upward, "\n".join(upward)


def test_no_circle():
    targets = defaultdict(set)
    for source, target in arrows():
        targets[source].add(target)

    def walk(way: list[str]):
        for target in sorted(targets[way[-1]]):
            assert target not in way, " -> ".join([*way, target])
            walk([*way, target])

    for source in sorted(targets):
        walk([source])


@pytest.mark.parametrize("name", sorted(NO_TENSORFLOW))
def test_no_tensorflow(name):
    found = [
        f"{path}:{line}"
        for path in FILES
        if room(path) == name
        for module, line in imported_modules(path)
        if module.split(".")[0] in ("tensorflow", "tensorflow_io")
    ]
    assert not found


def test_no_private_modules_of_keras_and_tensorflow():
    private = ("keras.src", "tensorflow.python")
    found = [
        f"{path}:{line}: {module}"
        for path in FILES
        for module, line in imported_modules(path)
        if module.startswith(private)
    ]
    assert not found


def test_files_are_short():
    lines = {path: len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {str(path): count for path, count in lines.items() if count > 350}


def test_library_code_does_not_print():
    found = [
        f"{path}:{node.lineno}"
        for path in FILES
        if room(path) not in PRINTS and path != VERBOSE
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id == "print"
    ]
    assert not found


def test_no_error_is_swallowed():
    found = [
        f"{path}:{node.lineno}"
        for path in FILES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler)
        if all(isinstance(each, ast.Pass) for each in node.body)
    ]
    assert not found


@pytest.mark.parametrize("module", ["keras_mtnet", "keras_mtnet.presets", "keras_mtnet.cli"])
def test_light_imports(module):
    """Neither Keras nor TensorFlow is loaded, so that `--help` and `list_presets` are fast."""
    code = f"import sys, {module}; print(*sorted({{'keras', 'tensorflow'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_video_needs_neither_keras_nor_tensorflow():
    code = "import sys; sys.modules.update(keras=None, tensorflow=None); import keras_mtnet.video"
    subprocess.run([sys.executable, "-c", code], check=True)
