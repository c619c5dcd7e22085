"""Whether the convolutions of all networks are computed right on this machine.

    python benchmarks/convolutions.py
    python benchmarks/convolutions.py --models MTNetS --clips 8x64 --isa AVX2 --plain

Every convolution of every network, for clips of several sizes, in float32, float16 and bfloat16:
output, gradient of the input and gradient of the kernel against double precision. Prints the worst
error of each kind of convolution and precision, and ends with exit status 1 if any is wrong. With
`--isa` oneDNN keeps to the instructions of an older processor; `--plain` puts Keras' own Conv3D in
place of our layers, to see what these avoid.
"""

import argparse
import sys
from collections import defaultdict

from check_convolutions import PASSES, TOLERANCES, Case, Result, check, convolutions_of

import keras_mtnet as mt

CLIPS = ("16x224", "16x112", "8x80", "4x48", "3x40", "1x32")


def plain(case: Case) -> Case | None:
    """The case by Keras' own Conv3D; None for depthwise convolutions."""
    config = case.layer["config"]
    if "filters" not in config:
        return None
    layer = {**case.layer, "class_name": "Conv3D", "module": "keras.layers"}
    return Case({**layer, "registered_name": None}, case.shape)


def print_results(results: list[Result]) -> None:
    """One line for each layer class, kernel, strides and precision."""
    kinds = defaultdict(list)
    for result in results:
        config = result.case.layer["config"]
        size, strides = (config.get(name) or 1 for name in ("kernel_size", "strides"))
        kind = (result.case.layer["class_name"], str(size), str(strides), result.precision)
        kinds[kind].append(result)
    print(f"{'layer':24}{'kernel':12}{'strides':12}{'precision':11}{'cases':>6}", *PASSES, sep="  ")
    for kind, members in sorted(kinds.items()):
        worst = [max(result.errors[i] for result in members) for i in range(len(PASSES))]
        bad = sum(not result.right for result in members)
        numbers = "".join(f"{error:12.2g}" for error in worst)
        note = f"   {bad} WRONG" if bad else ""
        print("{:24}{:12}{:12}{:11}".format(*kind) + f"{len(members):6}{numbers}{note}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["MTNetS"], help="names of networks")
    parser.add_argument("--variants", nargs="+", default=["paper", "released"])
    parser.add_argument("--clips", nargs="+", default=CLIPS, help="frames x pixels")
    parser.add_argument("--precisions", nargs="+", default=list(TOLERANCES), choices=TOLERANCES)
    parser.add_argument("--isa", help="as AVX2, AVX512_CORE: ONEDNN_MAX_CPU_ISA")
    parser.add_argument("--plain", action="store_true", help="Keras' own Conv3D")
    args = parser.parse_args()
    cases = {}
    for name in args.models:
        for variant in args.variants:
            for clip in args.clips:
                frames, size = map(int, clip.split("x"))
                options = {"variant": variant} if name.startswith("MTNet") else {}
                build = getattr(mt, name)
                model = build(weights=None, input_shape=(frames, size, size, 3), **options)
                cases.update((str(case), case) for case in convolutions_of(model))
    chosen = list(cases.values())
    if args.plain:
        chosen = [case for case in map(plain, chosen) if case is not None]
    print(f"{len(chosen)} convolutions")
    environment = {"ONEDNN_MAX_CPU_ISA": args.isa} if args.isa else {}
    results = list(check(chosen, args.precisions, environment))
    print_results(results)
    wrong = [result for result in results if not result.right]
    for result in wrong:
        errors = ", ".join(f"{error:.2g}" for error in result.errors)
        print(f"WRONG in {result.precision}: {result.case} ({errors})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
