"""The data sets that `read_split` reads, in one table. Nothing else is imported here."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What is known of a data set."""

    reader: str  # module in `keras_mtnet.data.datasets`, whose docstring tells the layout
    # Distance between neighboring frames of a clip where none is given. The paper's, where it uses
    # the data set; 2 for HMDB-51 and for folders and lists of one's own.
    stride: int
    classes: int | None = None  # a list with more is that of another data set; fewer are welcome
    splits: int = 1  # official ones


DATASETS: dict[str, Dataset] = {
    "folder": Dataset("folder", stride=2, splits=3),  # it may hold the lists of UCF-101
    "csv": Dataset("csv_file", stride=2),
    "ucf101": Dataset("ucf101", stride=4, splits=3),
    "hmdb51": Dataset("hmdb51", stride=2, classes=51, splits=3),
    "kinetics400": Dataset("kinetics", stride=5, classes=400),
    "kinetics700": Dataset("kinetics", stride=5, classes=700),
    "hacs": Dataset("hacs", stride=2, classes=200),
    "moments": Dataset("moments", stride=3, classes=339),
}
SUBSETS = ("train", "validation", "test", "all")
