"""Trains an MTNet on HACS Clips the way the paper does (section IV-A): from scratch, multigrid.

Reaches: the paper reports top-1 80.7 / 83.4 / 86.6 % for MTNet-S / M / L. Not measured with this
package: HACS Clips are 500,000 clips of two seconds that were not at hand.
Costs: 120 epochs; the time on your machine is what `--dry_run` estimates. Run:

    python examples/train_hacs.py --root HACS --annotations HACS_clips_v1.1.1.csv --dry_run \\
        --output runs/hacs
    python examples/train_hacs.py --root HACS --annotations HACS_clips_v1.1.1.csv \\
        --output runs/hacs --strategy mirrored --resume

`--root` is the folder of the downloaded videos (docs/data.md says how they may lie), the
annotations are the official list. Videos that vanished are counted and listed. Stop it whenever you
like: with `--resume` it goes on with the very next batch. Everything else is a flag of
`keras-mtnet train`.
"""

import sys

from keras_mtnet import cli

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
    cli.main(["train", "--recipe", "hacs", *sys.argv[1:]])
