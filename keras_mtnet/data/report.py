"""What a pipeline could not read."""

import threading


class ReadReport:
    """What could not be read. Safe to fill from several threads.

    Attributes:
        failed: dict from video name to the reason why nothing of it could be used.
        damaged: dict from video name to what is wrong, of videos used as far as they can be read.
    """

    def __init__(self):
        self.failed: dict[str, str] = {}
        self.damaged: dict[str, str] = {}
        self._lock = threading.Lock()

    def add_failed(self, name: str, reason: str) -> None:
        with self._lock:
            self.failed[name] = reason

    def add_damaged(self, name: str, reason: str) -> None:
        with self._lock:
            self.damaged[name] = reason

    def summary(self) -> str:
        """Counts and names every video with a fault, a line each; "" if there is none."""
        with self._lock:
            parts = [("could not be read", self.failed), ("damaged, used in part", self.damaged)]
            lines = []
            for what, videos in parts:
                if videos:
                    lines.append(f"{len(videos)} video{'s' * (len(videos) > 1)} {what}:")
                    lines += [f"  {name}: {reason}" for name, reason in sorted(videos.items())]
        return "\n".join(lines)
