"""Trained networks in files: what a study has made, to be looked at later."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from benchmarks.data.augment import augmentation
from benchmarks.data.normalize import unfitted
from benchmarks.studies.row import Row
from benchmarks.training.checkpoint import write_state
from equiconv import EquiconvError

__all__ = ["TrainedNetwork"]

PROBES = 4  # images of noise whose logits a file holds
TOLERANCE = 1e-3  # of these, as a share of the largest: devices and execution plans round otherwise


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """Hold a network that a study has trained, and what is needed to build it again.

    Args:
        study: the name of the study.
        row: what it is.
        seed: of its run.
        data: the data set.
        image: rows and columns of the images.
        channels: those of the images.
        classes: the names of the classes.
        normalize: the normalizations, in order.
        augment: the augmentations of its training; what they do in evaluation, such as cutting out the middle, is part
            of the network.
        net: the network itself, without normalization.
        prepare: the normalization, as it was fitted.
    """

    study: str
    row: Row
    seed: int
    data: str
    image: int
    channels: int
    classes: tuple[str, ...]
    normalize: tuple[str, ...]
    augment: Mapping[str, float]
    net: nn.Module
    prepare: nn.Module

    @property
    def model(self) -> nn.Module:
        """What maps images in [0, 1] to logits, in evaluation mode."""
        return nn.Sequential(augmentation(self.augment), self.prepare, self.net).eval()

    def save(self, path: Path) -> None:
        """Write it to a file, which appears complete or not at all."""
        content = {
            each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("row", "net", "prepare")
        }
        content |= {"row": asdict(self.row), "augment": dict(self.augment)}
        content |= {"net": self.net.state_dict(), "prepare": self.prepare.state_dict(), "logits": self._logits().cpu()}
        write_state(path, content)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the network of a file; nothing that is in it is executed.

        Raises:
            EquiconvError: if it cannot be read, is no such network, or is of a network that is built differently today.
        """
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a broken file makes the reader raise
            raise EquiconvError(f"{path} cannot be read as a trained network ({error})") from None
        if not isinstance(content, dict) or content.keys() != {"logits", *(each.name for each in fields(cls))}:
            raise EquiconvError(f"{path} holds no network of a study; expected a file of its folder networks")
        try:
            return cls._built(**content)
        except (RuntimeError, TypeError, ValueError) as error:
            name = content["row"].get("name")
            raise EquiconvError(f"{path}: {name} is built differently today; train it anew ({error})") from None

    @classmethod
    def _built(
        cls,
        *,
        row: Mapping[str, Any],
        net: Mapping[str, Tensor],
        prepare: Mapping[str, Tensor],
        logits: Tensor,
        **other: Any,
    ) -> Self:
        """Return the network of what a file holds, or raise if it answers differently."""
        own, channels, image = Row(**row), other["channels"], other["image"]
        module = replace(own, init=None).network(channels, len(other["classes"])).to(logits.dtype)
        made = cls(row=own, net=module, prepare=unfitted(other["normalize"], (channels, image, image)), **other)
        made.net.load_state_dict(net)
        made.prepare.load_state_dict(prepare)
        if (distance := float((made._logits() - logits).abs().max())) > TOLERANCE * float(logits.abs().max()):
            raise ValueError(f"its logits differ by {distance:.2g}")
        return made

    @torch.no_grad()
    def _logits(self) -> Tensor:
        """Return the logits of some noise, by which a network is known."""
        noise = torch.rand(PROBES, self.channels, self.image, self.image, generator=torch.Generator().manual_seed(0))
        return self.model(noise.to(next(self.net.parameters())))
