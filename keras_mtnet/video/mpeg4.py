"""MPEG-4 part 2 (DivX, XviD) as AVI files hold it: the order of frames, told by their types.

An AVI tells no times. Besides, DivX and XviD put a B-frame into the packet of the frame that is
shown after it, and a placeholder into the packet that would have been its own.
"""

from collections.abc import Iterable, Iterator

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from keras_mtnet.video.container import is_last

_START_OF_FRAME = b"\0\0\1\xb6"
_B_FRAME = 2


def one_frame_each(packets: Iterable[av.Packet], stream: av.VideoStream) -> Iterator[av.Packet]:
    """Yields packets of exactly one frame, and the empty one that ends a file.

    `packets` are those of an AVI's `stream`, from a keyframe on.
    """
    unpack = BitStreamFilterContext("mpeg4_unpack_bframes", stream)
    for packet in packets:
        if is_last(packet):
            yield packet
            return
        for unpacked in unpack.filter(packet) if packet.size else ():
            if _START_OF_FRAME in bytes(unpacked):
                unpacked.stream = stream
                yield unpacked


def frame_type(packet: av.Packet) -> int:
    """0 for I, 1 for P, 2 for B, 3 for S."""
    data = bytes(packet)
    return data[data.index(_START_OF_FRAME) + 4] >> 6


def frame_order(types: list[int]) -> np.ndarray:
    """Which frame each packet holds, int64 `(frames,)`, by the types of their frames.

    A B-frame is shown at once, any other when the next one that is not a B-frame has come.
    """
    shown: list[int] = []
    waiting: list[int] = []
    for place, kind in enumerate(types):
        if kind == _B_FRAME:
            shown.append(place)
        else:
            shown += waiting
            waiting = [place]
    numbers = np.empty(len(types), "int64")
    numbers[shown + waiting] = np.arange(len(types))
    return numbers
