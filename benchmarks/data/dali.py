"""Decode images by NVIDIA DALI, on the GPU where there is one; it is not needed, and imported only where it is used."""

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiconv import EquiconvError

__all__ = ["check", "decoded", "is_installed"]

THREADS = 2  # of DALI, beside the processes that read
Example = dict[str, Any]


def is_installed() -> bool:
    """Say whether DALI is there."""
    try:
        return importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:  # nothing of NVIDIA is there
        return False


def check() -> None:
    """Raise EquiconvError unless DALI is there."""
    if not is_installed():
        raise EquiconvError(
            "decoding by DALI needs nvidia.dali, which is not installed: pip install nvidia-dali-cuda120, or as its "
            "documentation says for your CUDA; or take --decoder pil"
        )


def decoded(
    chunks: Iterable[Sequence[Example]], most: int, size: int, *, gray: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images ``(B, C, size, size)``, uint8, and labels, of encoded examples.

    The part of each image that is used is resized as the other decoder does it, bilinearly and antialiased; rounding,
    and the decoders of JPEG, differ by some 1/255. It runs on the GPU of this process if it has chosen one, and on the
    CPU otherwise.

    Args:
        chunks: the examples of each batch, as a loader yields them: ``encoded``, ``box`` and ``label``.
        most: the largest number of examples in a batch.
        size: the side of the images.
        gray: decode to one channel.

    Raises:
        EquiconvError: if DALI is not installed.
        RuntimeError: if an image cannot be decoded.
    """
    check()
    device = torch.cuda.current_device() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    pipeline = _pipeline(_columns(chunks), most, size, device, gray=gray)
    while True:
        try:
            images, labels = (each.as_tensor() for each in pipeline.run())
        except StopIteration:
            return
        yield torch.from_dlpack(images).clone(), torch.from_dlpack(labels).flatten().clone()  # DALI uses it again


def _columns(chunks: Iterable[Sequence[Example]]) -> Iterator[tuple[list[Any], ...]]:
    """Yield the columns of batches: bytes, first corner and last of the parts, rows before columns, and labels."""
    for chunk in chunks:
        first = [np.array(each["box"][1::-1], np.float32) for each in chunk]
        last = [np.array(each["box"][:1:-1], np.float32) for each in chunk]
        encoded = [np.frombuffer(each["encoded"], np.uint8) for each in chunk]
        labels = [np.asarray([each["label"]], np.int64) for each in chunk]
        yield encoded, first, last, labels


def _pipeline(columns: Iterator[tuple[list[Any], ...]], most: int, size: int, device: int | None, *, gray: bool) -> Any:
    from nvidia.dali import fn, types
    from nvidia.dali.pipeline import Pipeline

    pipeline = Pipeline(batch_size=most, num_threads=THREADS, device_id=device)
    with pipeline:
        kinds = [types.UINT8, types.FLOAT, types.FLOAT, types.INT64]
        encoded, first, last, labels = fn.external_source(source=columns, num_outputs=4, dtype=kinds, ndim=[1] * 4)
        images = fn.decoders.image(
            encoded,
            device="cpu" if device is None else "mixed",
            output_type=types.GRAY if gray else types.RGB,
            adjust_orientation=False,
        )
        images = fn.resize(images, size=(size, size), roi_start=first, roi_end=last, antialias=True)
        pipeline.set_outputs(fn.transpose(images, perm=[2, 0, 1]), labels)
    pipeline.build()
    return pipeline
