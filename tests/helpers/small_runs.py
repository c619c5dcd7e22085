"""Recipes of the smallest runs, and their videos."""

from pathlib import Path

# The smallest network of all the parts of a big one; ratio 1 is quicker where the branch is beside
# the point.
TINY = {
    "model": "MTNet",
    "stage_filters": (8,),
    "stage_depths": (1,),
    "frames": 4,
    "size": 16,
    "learning_rate": 0.02,
    "dropout_rate": 0.0,
}


def some_videos(drawn: Path, folder: Path, train: int, test: int) -> str:
    """Lists of the first so many training and test videos of the drawn set."""
    folder.mkdir()
    (folder / "classInd.txt").write_text((drawn / "classInd.txt").read_text())
    for name, count in (("trainlist01.txt", train), ("testlist01.txt", test)):
        # Every seventh line: all classes come up.
        lines = (drawn / name).read_text().splitlines()
        chosen = [lines[7 * i % len(lines)] for i in range(count)]
        (folder / name).write_text("\n".join(chosen) + "\n")
    return str(folder)


def class_folders(drawn: Path, folder: Path, classes: list[str]) -> str:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for video in (drawn / name).iterdir():
            (folder / name / video.name).symlink_to(video)
    return str(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
