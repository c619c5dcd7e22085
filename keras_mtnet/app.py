"""A page on which people try a network on their own videos; needs the extra `keras-mtnet[app]`."""

import logging as standard_logging
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import keras
from absl import logging

from keras_mtnet.checks import check_above_0
from keras_mtnet.explain import explain_video
from keras_mtnet.inference.views import resolve_spec
from keras_mtnet.plots import check_available
from keras_mtnet.video.opening import open_video

_WAITING = 20  # most visitors in the queue; the network answers one at a time


def answer(
    model: keras.Model, video: str | None, folder: str | os.PathLike, megabytes: float = 100
) -> tuple[dict[str, float], str, str]:
    """What the page shows of an uploaded video.

    Args:
        model: a classifier that knows its clips (`clip_spec`).
        video: path of the upload; None where there is none.
        folder: where to put the pictures.
        megabytes: largest upload.

    Returns:
        The best five classes with their scores, the path of a strip with saliency and kept frames,
        and the path of a GIF of the same.

    Raises:
        ValueError: if there is no upload, or one that is too large.
        VideoError: if it is no video that can be read.

    Example:

    >>> import numpy as np, tempfile, keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> model.clip_spec = mt.ClipSpec(stride=1, class_names=["jump", "run"])
    >>> folder = tempfile.mkdtemp()
    >>> mt.data.synthetic.write_video(folder + "/clip.mp4", np.zeros((8, 48, 64, 3), "uint8"))
    >>> sorted(answer(model, folder + "/clip.mp4", folder)[0])
    ['jump', 'run']
    """
    if video is None:
        raise ValueError("Drop a video first, or record one with the camera.")
    size = os.path.getsize(video) / 1e6
    if size > megabytes:
        raise ValueError(
            f"{Path(video).name} is too large: {size:.1f} MB, and at most {megabytes:g} MB are "
            "taken. Cut the part out that matters."
        )
    found = explain_video(model, open_video(video, name=Path(video).name))
    target = Path(tempfile.mkdtemp(dir=folder))
    found.strip(target / "strip.png")
    found.animation(target / "saliency.gif")
    return dict(found.best), str(target / "strip.png"), str(target / "saliency.gif")


def make_app(model: keras.Model, folder: str | os.PathLike, megabytes: float = 100) -> Any:
    """Builds the page as `gradio.Blocks`, with a queue; `run_app` serves it.

    Args:
        model: a functional classifier that knows its clips (`clip_spec`).
        folder: where to put the pictures.
        megabytes: largest upload.

    Raises:
        ImportError: without gradio or matplotlib.
        ValueError: if the network does not know its clips.
    """
    check_above_0(megabytes=megabytes)
    check_available()
    given = ("frames", "stride", "size", "fps", "sampling", "class_names")
    spec = resolve_spec(model, **dict.fromkeys(given))
    try:
        import gradio
    except ImportError as error:
        raise ImportError('The page needs gradio. Run: pip install "keras-mtnet[app]"') from error

    def look(video: str | None) -> tuple[dict[str, float], str, str]:
        try:
            return answer(model, video, folder, megabytes)
        except (ValueError, OSError) as error:  # shown on the page, word for word
            raise gradio.Error(str(error), duration=None, print_exception=False) from error

    about = f"{model.name}: {model.output_shape[-1]} classes, clips of {spec.frames} frames"
    # Files of an hour ago are deleted every ten minutes, and all at the end.
    with gradio.Blocks(title=model.name, analytics_enabled=False, delete_cache=(600, 3600)) as app:
        gradio.Markdown(f"# What happens in this video?\n{about}. Videos stay on this machine.")
        with gradio.Row():
            with gradio.Column():
                options = gradio.WebcamOptions(mirror=False)
                # With its sound; without, gradio would call FFmpeg.
                video = gradio.Video(label="Video", webcam_options=options, include_audio=True)
                button = gradio.Button("Look", variant="primary")
            with gradio.Column():
                best = gradio.Label(label="Best five", num_top_classes=5)
                moving = gradio.Image(label="What speaks for the best", type="filepath", buttons=[])
        label = "Frame by frame; those that the network keeps are framed"
        strip = gradio.Image(label=label, type="filepath", buttons=[])
        button.click(look, video, [best, strip, moving], api_name="look")
    return app.queue(max_size=_WAITING, default_concurrency_limit=1)


def run_app(
    model: keras.Model, host: str = "127.0.0.1", port: int = 7860, megabytes: float = 100
) -> None:
    """Serves the page until SIGINT or SIGTERM.

    Uploads and pictures lie in a temporary folder, which is removed at the end.

    Args:
        model: a functional classifier that knows its clips (`clip_spec`).
        host: address to listen at; by default only this machine reaches the page.
        port: of the address; 0 takes the first free one from 7860 on.
        megabytes: largest upload.

    Raises:
        ImportError, ValueError: as of `make_app`.
        OSError: if the address is taken.
    """
    with tempfile.TemporaryDirectory(prefix="keras_mtnet_") as folder:
        # Read when gradio is imported.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        app = make_app(model, folder, megabytes)
        standard_logging.getLogger("httpx").setLevel("WARNING")  # each request to itself
        _, address, _ = app.launch(
            server_name=host,
            server_port=port or None,
            max_file_size=int(megabytes * 1e6),
            share=False,
            ssr_mode=False,
            pwa=False,
            quiet=True,
            footer_links=[],
            prevent_thread_lock=True,
        )
        logging.info("The page is at %s (Ctrl-C ends it)", address)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        app.block_thread()
