"""Model cards: what the registry knows of a file of weights, for people.

`python -m keras_mtnet.weights.cards` writes the cards of `/weights` anew from its registry.json.
"""

from keras_mtnet.files import write_text
from keras_mtnet.weights import registry
from keras_mtnet.weights.registry import Entry


def card(entry: Entry, made: str | None = None) -> str:
    """Returns the card of an entry as Markdown.

    Args:
        entry: of the registry, or one filled in for a file that was just converted.
        made: how the file was made, if it is not published as it is.
    """
    clip = f"{entry.frames} frames of {entry.size}x{entry.size}"
    clip += f", one frame in {entry.stride}" if entry.stride else ""
    rows = {
        "Model": f"{entry.model}, `variant={entry.variant!r}`, blocks {entry.stage_depths}",
        "Trained on": f"{entry.dataset}, {entry.classes} classes",
        "Clips": clip,
        "Preprocessing": entry.preprocessing or "`keras_mtnet.preprocess_input`",
        "Labels": entry.labels,
        "Accuracy": f"top-1 {entry.top1} %, top-5 {entry.top5} %" if entry.top1 else "",
        "Protocol": entry.protocol,
        "Measured by": entry.measured_by,
        "File": f"`{entry.file}`" + _size(entry),
        "SHA-256": f"`{entry.sha256}`" if entry.sha256 else "none: everybody converts their own",
        "Made": made or _how(entry),
        "Licence of the code": entry.code_licence,
        "Licence of the weights": entry.weights_licence,
        "Source": entry.source,
        "Notes": entry.notes,
    }
    lines = [f"| {name} | {text} |" for name, text in rows.items() if text]
    arguments = {**entry.options, "weights": entry.name or "PATH"}
    call = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return "\n".join(
        [
            f"# {entry.file}",
            "",
            f"`keras_mtnet.{entry.model}({call})`",
            "",
            "| | |",
            "|---|---|",
            *lines,
            "",
        ]
    )


def _size(entry: Entry) -> str:
    return f", {entry.size_bytes / 1e6:.1f} MB" if entry.size_bytes else ""


def _how(entry: Entry) -> str:
    if entry.checkpoint is None:
        return f"downloaded from {entry.url}" if entry.url else "part of the package"
    return (
        "**Convert it yourself**, nobody hosts a Keras file: download the authors' PyTorch "
        f"checkpoint ({entry.checkpoint}), then `keras-mtnet convert-weights CHECKPOINT --model "
        f"{entry.model} --dataset {entry.dataset}`"
    )


def main() -> None:
    """Writes the card of every entry into the folder of the registry."""
    for entry in registry.entries():
        write_text(registry.folder() / card_name(entry.file), card(entry))


def card_name(file: str) -> str:
    """mtnet_m_hacs.weights.h5 to mtnet_m_hacs.md."""
    return f"{file.removesuffix('.weights.h5')}.md"


if __name__ == "__main__":
    main()
