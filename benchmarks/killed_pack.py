"""Packing that is killed at random moments: does it end in the same bytes, and do nothing twice?

    python benchmarks/killed_pack.py --kills 5 --json killed.json
    python benchmarks/killed_pack.py --root VIDEOS --kills 5

Packs the videos below a folder, or drawn ones, once without a break. Then packs them again with
SIGKILL at random moments of the work, goes on after each, and lets the last run end. Every file
must be that of the unbroken run; no shard that was finished may have been touched again.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from keras_mtnet.data.synthetic import draw_dataset

import numpy as np

POLL_SECONDS = 0.002


def sums(folder: Path) -> dict[str, str]:
    """Name to SHA-256 of all files of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def finished(folder: Path) -> dict[str, int]:
    """Name to time of change of the files of finished shards."""
    stems = {path.stem for path in folder.glob("shard-*.json")}
    return {
        path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*") if path.stem in stems
    }


def start(root: Path, output: Path, arguments: argparse.Namespace) -> subprocess.Popen:
    """Packs, in a process of its own; returns once it has begun to write."""
    command = [sys.executable, "-m", "keras_mtnet.cli", "pack", "--root", root, "--output", output]
    command += ["--shards", str(arguments.shards), "--workers", str(arguments.workers)]
    before = set(output.iterdir()) if output.is_dir() else set()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (output.is_dir() and set(output.iterdir()) - before):
        time.sleep(POLL_SECONDS)
    return process


def kill_and_go_on(root: Path, output: Path, seconds: float, arguments: argparse.Namespace):
    """Yields for each kill when it came, and what was there; after the last one the run ends.

    The moments are spread over the time that an unbroken run takes.
    """
    draw = np.random.default_rng(arguments.seed)
    done: dict[str, int] = {}
    for _ in range(arguments.kills):
        process = start(root, output, arguments)
        wait = float(draw.random()) * 2 * seconds / (arguments.kills + 1)
        time.sleep(wait)
        process.kill()
        killed = process.wait() == -9
        now = finished(output)
        names = [path.name for path in output.iterdir()]
        yield {
            "seconds": wait,
            "killed": killed,
            "finished_shards": sum(name.endswith(".json") for name in now),
            "unfinished_files": len(names) - len(now) - ("manifest.json" in names),
            "touched_again": sum(now.get(name) != changed for name, changed in done.items()),
        }
        done = now
    if start(root, output, arguments).wait():
        raise SystemExit("the last run failed")
    now = finished(output)
    touched = sum(now.get(name) != changed for name, changed in done.items())
    yield {"killed": False, "finished_shards": arguments.shards, "touched_again": touched}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder <class>/<video>; drawn when not given")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the results there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, whole, broken = arguments.root, Path(folder) / "whole", Path(folder) / "broken"
        if root is None:
            root = Path(folder) / "videos"
            draw_dataset(str(root), groups=4, clips_per_group=4, frames=60, size=(320, 240))
        process = start(root, whole, arguments)
        began = time.perf_counter()
        if process.wait():
            raise SystemExit("packing failed")
        seconds = time.perf_counter() - began
        print(f"without a break: {seconds:.1f} s of writing {arguments.shards} shards")
        runs = []
        for run in kill_and_go_on(root, broken, seconds, arguments):
            runs.append(run)
            print("  ".join(f"{key}: {value}" for key, value in run.items()), flush=True)
        one, other = sums(whole), sums(broken)
        same = one == other
        print(f"{len(one)} files, the same bytes: {same}")
    if arguments.json:
        results = {"seconds_unbroken": seconds, "runs": runs, "files": len(one), "same": same}
        arguments.json.write_text(json.dumps(results, indent=1))
    if not same or any(run["touched_again"] for run in runs):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
