"""Which files are taken for videos, which for pictures, and which for neither, by their names."""

import re

VIDEO_SUFFIXES = tuple(
    """
    .264 .265 .3g2 .3gp .amv .apng .asf .avi .dav .divx .dv .f4v .flv .gif .h264 .h265 .hevc .insv
    .ivf .lrv .m1v .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mk3d .mkv .mod .mov .mp4 .mpe .mpeg .mpg .mpv
    .mts .mxf .nut .ogm .ogv .ps .qt .rm .rmvb .tod .trp .ts .vob .vro .webm .wmv .wtv .xvid .y4m
    """.split()
)
IMAGE_SUFFIXES = tuple(
    """
    .avif .bmp .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp
    """.split()
)
# What disks, servers, unpackers and notebooks leave behind, as they or others write it.
_LEFTOVERS = re.compile(
    r"""\..* | __macosx | __pycache__ | lost\+found | lost\.dir | found\.\d{3} | \$recycle\.bin
    | recycler | system\ volume\ information | [@\#~](recycle|snapshot|recently-snapshot|eadir)
    | (eh)?thumbs\.db(:.*)? | desktop\.ini | icon\r""",
    re.IGNORECASE | re.VERBOSE,
)


def is_leftover(name: str) -> bool:
    """Whether a file or folder is hidden, or none that a user put there.

    Example:

    >>> is_leftover("._video.mp4"), is_leftover("$RECYCLE.BIN"), is_leftover("video.mp4")
    (True, True, False)
    """
    return _LEFTOVERS.fullmatch(name) is not None
