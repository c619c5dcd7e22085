"""The networks of the paper as numbers (Table I; depths and inputs as derived in docs)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """One network: blocks and channels of its stages, and the clip it was measured on."""

    name: str
    stage_filters: tuple[int, ...]
    stage_depths: tuple[int, ...]
    frames: int
    size: int


_FILTERS = (24, 48, 96, 192)

CONFIGS = {
    "MTNetS": Config("mtnet_s", _FILTERS, (3, 5, 11, 7), frames=16, size=200),
    "MTNetM": Config("mtnet_m", _FILTERS, (3, 5, 11, 7), frames=16, size=256),
    "MTNetL": Config("mtnet_l", _FILTERS, (5, 10, 25, 15), frames=16, size=256),
}

# The networks that the paper's authors released weights of; see `models/released.py`.
_RELEASED_FILTERS = (64, 128, 256, 512)

RELEASED_CONFIGS = {
    "MTNetS": Config("mtnet_s", _RELEASED_FILTERS, (2, 2, 5, 3), frames=16, size=256),
    "MTNetM": Config("mtnet_m", _RELEASED_FILTERS, (3, 4, 6, 3), frames=16, size=256),
    "MTNetL": Config("mtnet_l", _RELEASED_FILTERS, (3, 4, 23, 3), frames=16, size=256),
}

VARIANTS = {"paper": CONFIGS, "released": RELEASED_CONFIGS}


def find_config(model: str, variant: str | None = None) -> Config:
    """Returns the numbers of a network; those of MTNetS for a network of one's own stages."""
    configs = VARIANTS[variant or "paper"]
    return configs.get(model, configs["MTNetS"])


STEM_FILTERS = 24
STEM_FRAMES = 5  # length of the stem's temporal kernels
HEAD_FILTERS = 432
HEAD_UNITS = 2048
CLASSES = 200  # HACS
