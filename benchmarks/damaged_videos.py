"""Damaged files by the thousand: does reading crash, hang or leak, and is every failure named?

    python benchmarks/damaged_videos.py --root VIDEOS --files 2000 --clips 10000 --json damaged.json

Spoils copies of the videos below a folder, each in one of the ways in `DAMAGE`, by a seed. Reads a
random clip of every one as training does, in a process of its own that is watched: it must answer,
after no more than five seconds of CPU time, and stay alive. Then reads clips from the same files
over and over in one process, and looks at the memory it holds.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.clip_reader import ClipDraws, ClipReader
from keras_mtnet.video import VideoError
from keras_mtnet.video.suffixes import VIDEO_SUFFIXES

import numpy as np

LONGEST_SECONDS = 5  # of CPU time; the machine may have other work
WAIT_SECONDS = 60
FRAMES, STRIDE, SIZE = 16, 2, 112


# --- Damage --------------------------------------------------------------------------------------


def truncate(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    return bytes(data[: int(draw.integers(1, len(data)))])


def flip_bits(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    """1 to 300 bits, in the first kilobytes as often as anywhere."""
    reach = len(data) if draw.random() < 0.5 else min(len(data), 4096)
    for place in draw.integers(0, reach, int(300 ** draw.random())):
        data[place] ^= 1 << int(draw.integers(8))
    return bytes(data)


def overwrite(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    """A stretch of zeros or noise."""
    length = int(len(data) ** draw.random())
    start = int(draw.integers(0, len(data) - length + 1))
    data[start : start + length] = bytes(length) if draw.random() < 0.5 else draw.bytes(length)
    return bytes(data)


def cut_out(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    """A stretch left out."""
    start, end = sorted(draw.integers(0, len(data), 2).tolist())
    return bytes(data[:start] + data[end:])


def swap_header(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    """The beginning of another file."""
    length = int(min(len(data), len(other)) ** draw.random())
    return other[:length] + bytes(data[length:])


def swap_tail(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    """The end of another file."""
    start = int(draw.integers(0, len(data)))
    return bytes(data[:start]) + other[int(draw.integers(0, len(other))) :]


def empty(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    return b""


def rename(data: bytearray, other: bytes, draw: np.random.Generator) -> bytes:
    """Sound, but under the suffix of another container, or no video at all."""
    page = b"<!DOCTYPE html><title>Video unavailable</title>" * 20
    return [bytes(data), bytes(data), page, draw.bytes(len(data))][int(draw.integers(4))]


DAMAGE: dict[str, Callable[[bytearray, bytes, np.random.Generator], bytes]] = {
    "truncated": truncate,
    "bits flipped": flip_bits,
    "overwritten": overwrite,
    "cut out": cut_out,
    "header swapped": swap_header,
    "tail swapped": swap_tail,
    "empty": empty,
    "renamed": rename,
}


def damage_videos(root: str, output: str, count: int, seed: int, largest: int = 2**22) -> list[str]:
    """Writes damaged copies of videos.

    Args:
        root: where sound videos lie, in any folder below.
        output: folder for the damaged ones.
        count: how many to write.
        seed: chooses videos and damage.
        largest: bytes above which a video is not used.

    Returns:
        Their paths, `<output>/<number>_<damage>_<video>`.
    """
    found = (path for path in sorted(Path(root).rglob("*")) if path.suffix in VIDEO_SUFFIXES)
    sound = [path for path in found if path.is_file() and path.stat().st_size <= largest]
    if len(sound) < 2:
        raise ValueError(f"damaging takes at least two videos. Received: {len(sound)} in {root!r}")
    paths = []
    for number in range(count):
        draw = np.random.default_rng([seed, number])
        kind = list(DAMAGE)[number % len(DAMAGE)]
        one, other = (sound[place] for place in draw.choice(len(sound), 2, replace=False))
        suffix = str(draw.choice(VIDEO_SUFFIXES)) if kind == "renamed" else one.suffix
        name = f"{number:05d}_{kind.replace(' ', '-')}_{one.stem[:40]}{suffix}"
        data = DAMAGE[kind](bytearray(one.read_bytes()), other.read_bytes(), draw)
        paths.append(os.path.join(output, name))
        Path(paths[-1]).write_bytes(data)
    return paths


# --- Reading -------------------------------------------------------------------------------------


def read_clip(path: str, u: float) -> tuple[str, str]:
    """Reads a clip as training does: what came of it, and why."""
    reader = ClipReader(ClipSpec(FRAMES, STRIDE, SIZE))
    draws = dataclasses.replace(ClipDraws.draw(np.random.default_rng(0), FRAMES), start=u)
    try:
        reader.random_clip(path, draws)
    except VideoError as error:
        return "failed", error.reason
    damage = "".join(reader.report.damaged.values())
    return ("used in part", damage) if damage else ("read", "")


def _answer(requests: Connection) -> None:
    with contextlib.suppress(EOFError):  # the other end is gone
        while True:
            path, u = requests.recv()
            start = time.process_time()
            requests.send((*read_clip(path, u), time.process_time() - start))


class Watched:
    """A process that reads clips, and is begun anew when it dies or says nothing for too long."""

    def __init__(self):
        self.process = None

    def read(self, path: str, u: float) -> tuple[str, str, float]:
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_answer, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        self.pipe.send((path, u))
        try:
            if self.pipe.poll(WAIT_SECONDS):
                return self.pipe.recv()
            outcome = "HANGS"
        except EOFError:
            outcome = "CRASHES"
        self.process.kill()
        self.process.join()
        reason = f"exit status {self.process.exitcode}"
        self.process = None
        return outcome, reason, float("inf")


def read_damaged(paths: Iterable[str], seed: int) -> list[dict]:
    """One clip of every file: a row each."""
    watched = Watched()
    draw = np.random.default_rng(seed)
    watched.read(os.devnull, 0.0)  # starting the process takes longer than most files
    rows = []
    for path in paths:
        outcome, reason, seconds = watched.read(path, draw.random())
        name = os.path.basename(path)
        row = {"name": name, "damage": name.split("_")[1].replace("-", " ")}
        rows.append({**row, "outcome": outcome, "reason": reason, "seconds": seconds})
    return rows


def resident_megabytes() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def read_many(paths: list[str], count: int, seed: int, steps: int = 10) -> list[dict]:
    """Reads `count` clips in this process, and notes its memory `steps` times."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(1, count + 1):
        read_clip(paths[number % len(paths)], draw.random())
        if number % (count // steps) == 0:
            rows.append({"clips": number, "megabytes": resident_megabytes()})
            print(f"{number:8d} clips {rows[-1]['megabytes']:8.1f} MB resident", flush=True)
    return rows


# --- The report ----------------------------------------------------------------------------------


def print_table(rows: list[dict]) -> None:
    outcomes = sorted({row["outcome"] for row in rows})
    print(f"{'damage':16s}" + "".join(f"{outcome:>14s}" for outcome in outcomes) + "   slowest, s")
    for kind in DAMAGE:
        mine = [row for row in rows if row["damage"] == kind]
        counts = collections.Counter(row["outcome"] for row in mine)
        slowest = max((row["seconds"] for row in mine), default=0)
        print(f"{kind:16s}" + "".join(f"{counts[o]:14d}" for o in outcomes) + f"{slowest:14.2f}")
    reasons = collections.Counter(row["reason"] for row in rows if row["outcome"] == "failed")
    print(f"\n{sum(reasons.values())} of {len(rows)} could not be read:")
    for reason, count in reasons.most_common(20):
        print(f"{count:6d}  {reason}")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", required=True, help="folder of sound videos")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--clips", type=int, default=10000, help="to look for leaks with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="file for the numbers")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        paths = damage_videos(options.root, folder, options.files, options.seed)
        rows = read_damaged(paths, options.seed)
        print_table(rows)
        print()
        memory = read_many(paths, options.clips, options.seed)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            result = {"options": vars(options), "files": rows, "memory": memory}
            json.dump(result, file, indent=2)
    bad = [row for row in rows if row["seconds"] > LONGEST_SECONDS or row["outcome"].isupper()]
    for row in bad:
        print(f"{row['name']}: {row['outcome']}, {row['seconds']:.1f} s", file=sys.stderr)
    if bad:
        sys.exit(f"{len(bad)} files crash or take longer than {LONGEST_SECONDS} s")


if __name__ == "__main__":
    main()
