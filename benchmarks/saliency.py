"""Whether Grad-CAM looks where the action is, and at the weights.

    python benchmarks/saliency.py --video v_CricketShot_g04_c01_rgb.gif --label "playing cricket"

Prints the share of the saliency's energy in each half of the frame, and the rank correlation of its
maps with those of networks whose weights are random from the top down to some layer (Adebayo et
al., "Sanity Checks for Saliency Maps", NeurIPS 2018). A map that shows edges of the picture instead
of what the network has learned would not change.
"""

import argparse
import json

import keras_mtnet as mt
from keras_mtnet.data.clip_reader import ClipReader

import keras
import numpy as np

# Parts of the network from the top down, each made random with those before it.
CASCADE = ("predictions", "stage3", "stage2", "stage1", "stem")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", required=True)
    parser.add_argument("--label", required=True, help="class to look for")
    parser.add_argument("--model", default="I3D")
    parser.add_argument("--weights", default="kinetics400")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()
    model = getattr(mt, arguments.model)(weights=arguments.weights)
    spec = model.clip_spec
    clip, label = (
        ClipReader(spec).views(arguments.video)[0],
        spec.class_names.index(arguments.label),
    )
    saliency = mt.explain.grad_cam(model, clip, label)
    found = {"label": arguments.label, "shares": halves(saliency), "correlations": {}}
    found["shares_of_change"] = halves(change(clip))
    for name, share in found["shares"].items():
        print(f"{share:6.1%} of the saliency in the {name} half ", end="")
        print(f"(of the frames' change {found['shares_of_change'][name]:.1%})")
    for seed in range(arguments.seeds):
        for part, other in randomized(model, arguments, seed):
            correlation = rank_correlation(saliency, mt.explain.grad_cam(other, clip, label))
            found["correlations"].setdefault(part, []).append(correlation)
    for part, values in found["correlations"].items():
        text = ", ".join(f"{value:.2f}" for value in values)
        print(f"random down to {part:11}: rank correlation {np.mean(values):5.2f} ({text})")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(json.dumps(found, indent=2) + "\n")


def halves(saliency: np.ndarray) -> dict[str, float]:
    """Shares of the energy (sum of squares) of `(T, H, W)` in the halves of the frame."""
    energy = np.square(saliency.astype("float64")).sum(axis=0)
    rows, columns = energy.shape[0] // 2, energy.shape[1] // 2
    parts = {"left": energy[:, :columns], "right": energy[:, columns:]}
    parts |= {"upper": energy[:rows], "lower": energy[rows:]}
    return {name: float(part.sum() / energy.sum()) for name, part in parts.items()}


def change(clip: np.ndarray) -> np.ndarray:
    """How much each pixel changes from frame to frame: what needs no network."""
    return np.abs(np.diff(clip.astype("float32"), axis=0)).mean(axis=-1)


def randomized(model: keras.Model, arguments: argparse.Namespace, seed: int):
    """Yields (part, network), random from the classifier down to each part."""
    keras.utils.set_random_seed(seed)
    fresh = getattr(mt, arguments.model)(classes=model.output_shape[-1])
    trained = model.get_weights()
    other = keras.models.clone_model(model)
    other.set_weights(trained)
    for part in CASCADE:
        for layer in other.layers:
            if layer.name.startswith(part):
                layer.set_weights(fresh.get_layer(layer.name).get_weights())
        yield part, other


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, with the mean rank for equal values; 0 where one map is the same everywhere."""
    ranks = []
    for values in (a, b):
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        mean = np.cumsum(count) - (count - 1) / 2
        ranks.append(mean[place.ravel()])
    if min(np.ptp(each) for each in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
