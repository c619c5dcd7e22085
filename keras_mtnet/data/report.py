"""What a pipeline could not read."""

import dataclasses


@dataclasses.dataclass(eq=False)
class ReadReport:
    """What could not be read. Safe to fill from several threads, as dicts are.

    Attributes:
        failed: dict from video name to the reason why nothing of it could be used.
        damaged: dict from video name to what is wrong, of videos used as far as they can be read.
    """

    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    damaged: dict[str, str] = dataclasses.field(default_factory=dict)

    def summary(self) -> str:
        """Counts and names every video with a fault, a line each; "" if there is none."""
        lines = []
        for what, videos in (
            ("could not be read", self.failed.copy()),
            ("damaged, used in part", self.damaged.copy()),
        ):
            if videos:
                lines.append(f"{len(videos)} video{'s' * (len(videos) > 1)} {what}:")
                lines += [f"  {name}: {reason}" for name, reason in sorted(videos.items())]
        return "\n".join(lines)
