"""Fine-tunes an MTNet on UCF-101 the way the paper does (Section IV-B and IV-F).

Reaches: the paper reports top-1 94.2 / 95.4 / 97.4 % for MTNet-S / M / L that were trained on HACS
first. Not measured with this package: no such weights in Keras form are published, and training
from scratch on UCF-101 alone gives 40-55 % in published work with other networks.
Takes: 150 epochs of 9,537 clips; not measured. Run:

    python examples/finetune_ucf101.py --root UCF-101 --annotations ucfTrainTestlist \\
        --weights mtnet_m_hacs.weights.h5 --output runs/ucf101

`--root` is the folder with the 101 class folders, `--annotations` that with classInd.txt and the
lists. Any folder in this layout works, however many classes it has.
"""

import argparse
import sys

import keras_mtnet as mt


def main() -> None:
    arguments = parse_arguments()
    recipe = mt.training.RECIPES["ucf101"]
    changes = {name: value for name, value in vars(arguments).items() if value is not None}
    run = mt.training.train(recipe.replace(**changes))

    model, config = mt.training.load_run(run)
    videos = mt.data.read_split(
        "ucf101", arguments.root, arguments.annotations, arguments.split or 1, subset="test"
    )
    result = mt.evaluate_views(
        model, videos, frames=config.frames, stride=config.stride, size=config.size
    )
    print(result)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder with a folder for each class")
    parser.add_argument("--annotations", help="folder of the lists (default: that of the videos)")
    parser.add_argument("--split", type=int, help="official split (default: 1)")
    parser.add_argument("--output", required=True, help="new folder for the run")
    parser.add_argument("--weights", help=".weights.h5 to start from (default: from scratch)")
    parser.add_argument("--model", help="MTNetS, MTNetM or MTNetL (default: MTNetM)")
    parser.add_argument("--size", type=int, help="height and width of a clip (default: 256)")
    parser.add_argument("--batch_size", type=int, help="clips of a step")
    parser.add_argument("--epochs", type=int, help="default: 150")
    parser.add_argument("--precision", help="float32, mixed_float16 or mixed_bfloat16")
    parser.add_argument("--strategy", help="none or mirrored (all GPUs)")
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
