"""Segments of a video as SubRip subtitles (`.srt`)."""

import re
from collections.abc import Iterable

# SubRip has no escapes. An invisible character (word joiner) behind them makes these no markup for
# players; what is in braces they hide anyway, so braces become wide ones.
_MARKUP = re.compile(r"(<|\\|-->)")
_BRACES = str.maketrans("{}", "\uff5b\uff5d")
_JOINER = "\u2060"


def to_srt(lines: Iterable[tuple[float, float, str]]) -> str:
    r"""Subtitles of `(start, end, text)`, in seconds, one after the other.

    A text is one line. Where two overlap, players show both.

    >>> print(to_srt([(0.0, 1.5, "jump"), (3661.0625, 3662.0, "run")]))
    1
    00:00:00,000 --> 00:00:01,500
    jump
    <BLANKLINE>
    2
    01:01:01,062 --> 01:01:02,000
    run
    <BLANKLINE>
    """
    blocks = (
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{_escape(text)}\n"
        for number, (start, end, text) in enumerate(lines, 1)
    )
    return "\n".join(blocks)


def _clock(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{thousandths:03d}"


def _escape(text: str) -> str:
    one_line = " ".join(text.split()).translate(_BRACES) or "-"
    return _MARKUP.sub(lambda match: match[1][0] + _JOINER + match[1][1:], one_line)
