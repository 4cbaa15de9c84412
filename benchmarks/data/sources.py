"""Where published data sets are: parquet files of one's own, or the Hugging Face hub if one asks for it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.cache import file_digest
from equiconv import EquiconvError

__all__ = ["SOURCES", "Place", "Source", "data_folder", "locate", "opened"]

Split = Literal["train", "test"]
TIMEOUT = 10  # seconds that the hub has to answer


@dataclass(frozen=True)
class Source:
    """Describe a published data set.

    Args:
        name: as users write it; also the folder under ``EQUICONV_DATA``.
        title: as reports write it.
        hub: its id on the Hugging Face hub; the columns of local files are the same.
        counts: official images for training and test.
        size: the side of the squares that are made of its images, unless one asks for another.
        image: the column of the images.
        label: the column of the classes.
        train: the split, or sum of splits, on the hub for training.
        test: the same for the test; None if a part must be held out.
        gray: whether its images have one channel.
        lossless: whether its images are published without losses.
        streamed: whether it is too large to be loaded.
        md5: of the decoded images of training and test as published, after the 16 bytes that head the published file.
        left_out: a class that is not used.
    """

    name: str
    title: str
    hub: str
    counts: tuple[int, int]
    size: int
    image: str = "image"
    label: str = "label"
    train: str = "train"
    test: str | None = "test"
    gray: bool = False
    lossless: bool = False
    streamed: bool = False
    md5: tuple[str, str] | None = None
    left_out: str | None = None

    @property
    def splits(self) -> tuple[Split, ...]:
        """The parts that must be there."""
        return ("train", "test") if self.test else ("train",)


MNIST_MD5 = ("6bbc9ace898e44ae57da46a324031adb", "2646ac647ad5339dbf082846283269ea")
PHOTOGRAPH = 256  # the shorter side from which 224 pixels are cut in the published experiments

SOURCES = {
    source.name: source
    for source in (
        Source("mnist", "MNIST", "ylecun/mnist", (60000, 10000), 28, gray=True, lossless=True, md5=MNIST_MD5),
        Source("cifar10", "CIFAR-10", "uoft-cs/cifar10", (50000, 10000), 32, "img", lossless=True),
        Source("cifar100", "CIFAR-100", "uoft-cs/cifar100", (50000, 10000), 32, "img", "fine_label", lossless=True),
        Source(
            "flowers102",
            "Oxford Flowers-102",
            "dpdl-benchmark/oxford_flowers102",
            (2040, 6149),
            PHOTOGRAPH,
            train="train+validation",
        ),
        Source("stl10", "STL-10 (its labeled part)", "tanganke/stl10", (5000, 8000), 96, lossless=True),
        Source(
            "caltech101",
            "Caltech-101",
            "flwrlabs/caltech101",
            (8677, 0),
            PHOTOGRAPH,
            test=None,
            left_out="background_google",
        ),
        Source("pets", "Oxford-IIIT Pets", "timm/oxford-iiit-pet", (3680, 3669), PHOTOGRAPH),
        Source("cars", "Stanford Cars", "tanganke/stanford_cars", (8144, 8041), PHOTOGRAPH),
        Source("food101", "Food-101", "ethz/food101", (75750, 25250), PHOTOGRAPH, test="validation"),
        Source("tiny-imagenet", "Tiny ImageNet", "zh-plus/tiny-imagenet", (100000, 10000), 64, test="valid"),
        Source(
            "imagenet",
            "ImageNet (ILSVRC 2012)",
            "ILSVRC/imagenet-1k",
            (1281167, 50000),
            224,
            test="validation",
            streamed=True,
        ),
    )
}


@dataclass(frozen=True)
class Place:
    """Hold where a source was found: the files of each part, none of them if it is on the hub."""

    source: Source
    files: dict[Split, tuple[Path, ...]]

    @property
    def origin(self) -> str:
        """Where the images are from, for reports."""
        return "local parquet files" if self.files else f"{self.source.hub} on the Hugging Face hub"

    def identity(self) -> object:
        """Return what tells these data from others: a checksum of the files, or the id on the hub."""
        paths = [path for files in self.files.values() for path in files]
        return file_digest(*paths) if paths else self.source.hub

    def outline(self) -> str:
        """Return a hash of what the ends of the files say of their content, which is read at once, or the hub's id."""
        digest = hashlib.sha256(self.source.hub.encode())
        for split, paths in self.files.items():
            for path in paths:
                digest.update(repr((split, path.name, path.stat().st_size)).encode() + _end(path))
        return digest.hexdigest()

    def count(self, split: Split) -> int:
        """Return the images of a part: those of the files, or as published on the hub."""
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]

        if not self.files:
            return self.source.counts[self.source.splits.index(split)]
        return sum(parquet.read_metadata(path).num_rows for path in self.files[split])

    def labels(self, split: Split) -> NDArray[np.int64] | None:
        """Return the labels of a part, without reading its images; None on the hub."""
        import pyarrow.parquet as parquet

        if not self.files:
            return None
        read = (parquet.read_table(path, columns=[self.source.label]) for path in self.files[split])
        return np.concatenate([table[self.source.label].to_numpy() for table in read])


def data_folder() -> Path | None:
    """Return the folder of the user's data sets, ``EQUICONV_DATA``; None if it is not set."""
    given = os.environ.get("EQUICONV_DATA")
    return Path(given) if given else None


def locate(source: Source) -> Place:
    """Return where a source is, at once and without reading it: local files first, then the hub.

    The hub is asked only where ``EQUICONV_HUB=1`` is set. With ``HF_HUB_OFFLINE=1``, a variable of the datasets
    library, what it downloaded before is used.

    Raises:
        EquiconvError: if it is nowhere, or the hub does not answer within seconds; it says what to download or to set.
    """
    files = {split: _files(source, split) for split in source.splits}
    if all(files.values()):
        return Place(source, files)
    if os.environ.get("EQUICONV_HUB") != "1":
        raise EquiconvError(f"{source.title} is not here: {_found(source, files)}; {_remedy(source)}")
    _check_hub(source)
    return Place(source, {})


def opened(place: Place, split: Split, *, stream: bool) -> Any:
    """Return a part of a source, a data set of the datasets library, with its images as stored, not decoded.

    Args:
        place: where it is.
        split: which part.
        stream: whether the hub is read piece by piece; files always are.
    """
    import datasets  # type: ignore[import-untyped]  # here: it is slow to import, and most runs do without

    source = place.source
    if place.files:
        paths = [str(path) for path in place.files[split]]
        data = datasets.load_dataset("parquet", data_files={split: paths}, split=split, streaming=True)
    else:
        wanted = (source.train if split == "train" else source.test or "").split("+")  # streams know no sums
        parts = [datasets.load_dataset(source.hub, split=part, streaming=stream) for part in wanted]
        data = datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]
    missing = {source.image, source.label} - set(data.column_names or ())
    if missing:
        raise EquiconvError(
            f"{source.title}, {split}: expected the columns {source.image} and {source.label}; {place.origin} have "
            f"{', '.join(data.column_names or ())}: name them so"
        )
    return data.cast_column(source.image, datasets.Image(decode=False)).select_columns([source.image, source.label])


def _files(source: Source, split: Split) -> tuple[Path, ...]:
    """Return ``train.parquet``, or the shards ``train-*.parquet``, in order."""
    folder = data_folder()
    if folder is None:
        return ()
    whole = folder / source.name / f"{split}.parquet"
    return (whole,) if whole.is_file() else tuple(sorted((folder / source.name).glob(f"{split}-*.parquet")))


def _end(path: Path) -> bytes:
    """Return what a parquet file tells of its content: where each column is, its size, its smallest and largest."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return file.read(length)


def _found(source: Source, files: dict[Split, tuple[Path, ...]]) -> str:
    folder = data_folder()
    if folder is None:
        return "EQUICONV_DATA is not set"
    missing = [f"{source.name}/{split}.parquet" for split, paths in files.items() if not paths]
    return f"EQUICONV_DATA is {folder}, where there is no {' and no '.join(missing)}"


def _remedy(source: Source) -> str:
    names = " and ".join(f"{source.name}/{split}.parquet" for split in source.splits)
    return (
        f"set EQUICONV_DATA to a folder with {names} (or shards {source.name}/train-*.parquet), which have the columns "
        f"{source.image} and {source.label} of {source.hub} on the Hugging Face hub, or set EQUICONV_HUB=1 to download "
        "it from there"
    )


def _check_hub(source: Source) -> None:
    """Raise unless the hub has the data for this user, or the user wants what was downloaded before."""
    import datasets
    import huggingface_hub

    if datasets.config.HF_HUB_OFFLINE:
        return
    try:
        huggingface_hub.auth_check(source.hub, repo_type="dataset") if source.streamed else None
        huggingface_hub.HfApi().dataset_info(source.hub, timeout=TIMEOUT)
    except huggingface_hub.errors.GatedRepoError:
        raise EquiconvError(
            f"{source.title}: {source.hub} is open to those who accepted its terms: do so on its page on the Hugging "
            "Face hub, and log in with `hf auth login`"
        ) from None
    except Exception as error:  # of several libraries
        raise EquiconvError(
            f"{source.title}: the Hugging Face hub cannot be reached ({type(error).__name__}: {error}). If it was "
            f"downloaded before, set HF_HUB_OFFLINE=1; else {_remedy(source)}"
        ) from None
