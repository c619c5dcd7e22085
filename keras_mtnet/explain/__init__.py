"""Why a network said so: the frames it keeps, where it looks, which branch answers."""

from keras_mtnet.explain.branches import BranchEnergy, branch_energy
from keras_mtnet.explain.explanation import Explanation, explain_video
from keras_mtnet.explain.grad_cam import grad_cam, overlay
from keras_mtnet.explain.kept_frames import KeptFrames, kept_frames

__all__ = [
    "BranchEnergy",
    "Explanation",
    "KeptFrames",
    "branch_energy",
    "explain_video",
    "grad_cam",
    "kept_frames",
    "overlay",
]
