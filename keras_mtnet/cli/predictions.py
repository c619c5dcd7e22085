"""`predict`: what videos show, all in all or over time, and what a camera shows."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from keras_mtnet.cli.networks import load_network
from keras_mtnet.cli.parsing import add_command, add_model, add_views, view_options
from keras_mtnet.cli.terminal import quiet_imports


def add_commands(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "predict", _predict, "classify videos")
    parser.add_argument(
        "videos",
        nargs="*",
        metavar="VIDEO",
        help="video file, folder of pictures, folder of videos, or http(s) address of a file",
    )
    add_model(parser)
    parser.add_argument(
        "--top", type=int, default=5, metavar="N", help="classes to name (default: %(default)s)"
    )
    add_views(parser)
    parser.set_defaults(num_crops=None)  # 3 for a whole video, 1 over time
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")
    parser.add_argument("--picture", metavar="FILE", help="draw frames and scores, of one video")
    _add_time(parser.add_argument_group("over time"))


def _add_time(group: Any) -> None:
    group.add_argument(
        "--timeline", action="store_true", help="tell what happens when, by a window that slides"
    )
    group.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="of --timeline: write .csv, .srt (subtitles) or a picture; may be repeated",
    )
    group.add_argument("--annotate", metavar="FILE", help="write a copy with names drawn in (.mp4)")
    group.add_argument(
        "--camera",
        metavar="ADDRESS",
        help="watch a camera (its number, or /dev/video0) or a stream (rtsp://, udp://, http://)",
    )
    for name, help in (
        ("step", "seconds from one window to the next (default: they follow each other)"),
        ("window", "seconds that a clip covers, for networks with uniform sampling"),
        ("rate", "frames per second of a folder of pictures (default: 25)"),
    ):
        group.add_argument(f"--{name}", type=float, metavar="X", help=help)
    group.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="X",
        help="score from which a class counts, of --timeline (default: %(default)s)",
    )


def _predict(arguments: argparse.Namespace) -> None:
    _check(arguments)
    with quiet_imports():
        from keras_mtnet.video import VideoError
    model = load_network(arguments)
    if arguments.camera is not None:
        _watch(model, arguments)
        return
    over_time = arguments.timeline or arguments.annotate
    classify: Callable[..., dict[str, Any]] = _classify_parts if over_time else _classify
    results: list[dict[str, Any]] = []
    for path in arguments.videos:
        for video in _expand(path):
            try:
                results.append({"video": video, **classify(model, video, arguments)})
            except VideoError as error:
                results.append({"video": video, "error": error.reason})
            if not arguments.json:
                _show(results[-1], one_line=video != path and not over_time)
    if arguments.json:
        print(json.dumps(results, indent=2))
    failed = [f"{each['video']}: {each['error']}" for each in results if "error" in each]
    if failed:
        raise ValueError("; ".join(failed))


def _check(arguments: argparse.Namespace) -> None:
    """Raises ValueError for flags that do not go together, before anything is computed."""
    videos, one = arguments.videos, "--picture --output --annotate".split()
    if bool(videos) == (arguments.camera is not None):
        raise ValueError("name videos, or a --camera. Received: " + ("both" if videos else "none"))
    several = len(videos) > 1 or any(_expand(each) != [each] for each in videos)
    for flag in one:
        if getattr(arguments, flag[2:]) and (several or not videos):
            raise ValueError(f"{flag} is for one video. Received: {' '.join(videos) or 'a camera'}")
    over_time = arguments.timeline or arguments.annotate
    if arguments.picture and over_time:
        raise ValueError("--picture is of a whole video; of --timeline, --output x.png is one.")
    if arguments.output and not over_time:
        raise ValueError("--output is of --timeline")


def _expand(path: str) -> list[str]:
    """The videos of a folder; what is no such folder as it is."""
    from keras_mtnet.video.check import find_videos

    if not os.path.isdir(path):
        return [path]
    try:
        return find_videos(path)
    except ValueError:
        return [path]  # its error is told with those of other videos


def _classify(model: Any, video: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from keras_mtnet.inference import predict_video
    from keras_mtnet.video.download import local_video

    with local_video(video) as local:
        views = view_options(arguments)
        views["num_crops"] = 3 if arguments.num_crops is None else arguments.num_crops
        best = predict_video(model, local, top=arguments.top, **views)
        if arguments.picture:
            from keras_mtnet import plots
            from keras_mtnet.clip_spec import ClipSpec
            from keras_mtnet.data.clip_reader import ClipReader

            spec = ClipSpec(frames=6, size=192, sampling="uniform")
            shown = ClipReader(spec).views(local)[0]
            plots.prediction(shown, best, arguments.picture, title=os.path.basename(video))
    return {"predictions": [{"label": name, "score": score} for name, score in best]}


def _classify_parts(model: Any, video: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from keras_mtnet.inference import annotate_video, predict_timeline

    options = _time_options(arguments) | {"window": arguments.window, "rate": arguments.rate}
    options["sampling"] = arguments.sampling
    if arguments.annotate:
        timeline = annotate_video(model, video, arguments.annotate, arguments.top, **options)
    else:
        timeline = predict_timeline(model, video, **options)
    for path in arguments.output:
        timeline.write(path, arguments.threshold)
    return {"segments": [s._asdict() for s in timeline.segments(arguments.threshold)]}


def _time_options(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("step", "frames", "stride", "size", "fps", "batch_size")
    crops = 1 if arguments.num_crops is None else arguments.num_crops
    return {"num_crops": crops, **{name: getattr(arguments, name) for name in names}}


def _watch(model: Any, arguments: argparse.Namespace) -> None:
    from keras_mtnet.inference import predict_camera

    options = _time_options(arguments) | {"top": arguments.top}
    for time, best in predict_camera(model, arguments.camera, **options):
        if arguments.json:
            found = [{"label": name, "score": score} for name, score in best]
            print(json.dumps({"time": time, "predictions": found}), flush=True)
        else:
            print(f"{time:10.2f} s  {_names(best)}", flush=True)


def _names(best: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {score:.4f}" for name, score in best)


def _show(result: dict[str, Any], one_line: bool) -> None:
    video = result["video"]
    if "error" in result:
        if one_line:
            print(f"{video}: error: {result['error']}", flush=True)
        return
    if one_line:
        best = [(each["label"], each["score"]) for each in result["predictions"]]
        print(f"{video}: {_names(best)}", flush=True)
        return
    print(video)
    for each in result.get("predictions", ()):
        print(f"  {each['score']:.4f}  {each['label']}")
    for each in result.get("segments", ()):
        start, end = (_clock(each[name]) for name in ("start", "end"))
        print(f"  {start} - {end}  {each['score']:.4f}  {each['label']}")
    sys.stdout.flush()


def _clock(seconds: float) -> str:
    """As 1:02:03.45."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest / 100:05.2f}"
