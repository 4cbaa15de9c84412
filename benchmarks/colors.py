"""How exactly do lifting layers follow shifts of hue, saturation and brightness? And what does the lifting cost?"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.data import float_batch, load
from benchmarks.data.batch import Pixels
from benchmarks.files import write_json, write_text
from benchmarks.provenance import provenance
from benchmarks.speed.clock import Task, take_turns
from benchmarks.speed.setting import Setting
from benchmarks.text import markdown as table
from equiconv.errors import EquiconvError
from equiconv.groups import P4M, Color, Group, HueShift, Luminance, Saturation, Value
from equiconv.layers import GroupConv2d
from equiconv.models import CNN
from equiconv.testing import move_image, on_cover

__all__ = ["CASES", "Case", "add_arguments", "error", "images", "markdown", "run"]

COUNT, SIDE, FIELDS = 8, 16, 8  # images of each kind, their side, the fields of the layers
ON_IMAGES, ON_COVER = "images", "cover"
OURS, MNIST, CIFAR = "digits, colored", "MNIST, colored", "CIFAR-10"


@dataclass(frozen=True)
class Case:
    """Describe a layer, and how its images are shifted.

    Args:
        group: the group of the layer.
        shift: the group by which the images are shifted, element by element.
        where: whether the layer sees ``"images"`` or coordinates on the ``"cover"``.
        clipped: whether shifted images are clipped to values from 0 to 1.
        one_step: whether the first element alone shifts them; else each one does.
    """

    group: Group
    shift: Group
    where: str = ON_IMAGES
    clipped: bool = False
    one_step: bool = False

    @property
    def truncates(self) -> bool:
        """Whether shifts beyond the ends of an interval are cut off, as photographs are shifted."""
        return any(self.shift.tone.truncated)

    def title(self) -> str:
        """Return how tables call the shift."""
        what = "the same" if self.group == self.shift else repr(self.shift)
        what += ", one step" * self.one_step
        return what + ", clipped" * self.clipped + ", on the cover" * (self.where == ON_COVER)


def _hues(n: int) -> Iterator[Case]:
    true = HueShift(n, "hsv")
    yield Case(HueShift(n), true)
    if n != 3:
        yield Case(HueShift(n), HueShift(n), clipped=True)
    yield Case(true, true)


def _interval(group: Group, truncated: Group) -> Iterator[Case]:
    yield Case(group, group, ON_COVER)
    for each in (group, truncated):
        yield Case(each, each)
        yield Case(each, each, one_step=True)


CASES: tuple[Case, ...] = (
    *(case for n in (3, 4, 6, 8) for case in _hues(n)),
    Case(HueShift(5, "hsv"), HueShift(5, "hsv")),
    Case(HueShift(12, "hsv"), HueShift(12, "hsv")),
    Case(HueShift(4, "lab"), HueShift(4, "lab")),
    Case(HueShift(4, "lab"), HueShift(4, "lab"), clipped=True),
    *_interval(Saturation(8), Saturation(8, truncated=True)),
    *_interval(Value(8), Value(8, truncated=True)),
    *_interval(Luminance(8), Luminance(8, truncated=True)),
    Case(Luminance(4, "lab"), Luminance(4, "lab"), ON_COVER),
    Case(Color(4, 3, 2), Color(4, 3, 2), ON_COVER),
    Case(HueShift(4, "hsv") * P4M(), HueShift(4, "hsv") * P4M()),
    Case(Saturation(4) * P4M(), Saturation(4) * P4M(), ON_COVER),
    Case(Value(4) * P4M(), Value(4) * P4M(), ON_COVER),
)
QUICK = (*_hues(4), *_interval(Saturation(3), Saturation(3, truncated=True)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``colors``."""
    parser.add_argument("--quick", action="store_true", help="seconds: shows that it runs, measures little")
    parser.add_argument("--rounds", type=int, default=7, help="of the timings (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/colors"), help="folder for what is written")


def run(args: argparse.Namespace) -> None:
    """Measure all rows; write ``colors.json`` and ``table.md``.

    Raises:
        EquiconvError: if an option is out of range.
    """
    console, setting = Console(), Setting(1 if args.quick else args.rounds)
    kinds, missing = images()
    for reason in missing:
        console.print(f"left out: {reason}", style="dim", markup=False, highlight=False, soft_wrap=True)
    if args.quick:
        kinds = {name: x[:2, :, :6, :6] for name, x in list(kinds.items())[:2]}
    rows = [_row(case, kinds) for case in (QUICK if args.quick else CASES)]
    with setting.computing():
        costs = [_cost(n, setting, quick=args.quick) for n in (3, 4, 8)]
    command = "python -m benchmarks colors" + (" --quick" if args.quick else f" --rounds {args.rounds}")
    report = {"command": command, "provenance": provenance(), "left_out": missing, "rows": rows, "costs": costs}
    text = markdown(rows, costs)
    write_json(args.out / "colors.json", report)
    write_text(args.out / "table.md", text)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print(f"written to {args.out}", highlight=False)


def images() -> tuple[dict[str, Tensor], list[str]]:
    """Return images ``(8, 3, 16, 16)`` by their kind, and why some kinds are left out."""
    generator = torch.Generator().manual_seed(0)
    shape = (COUNT, 3, SIDE, SIDE)
    gray = torch.rand(COUNT, 1, SIDE, SIDE, generator=generator).expand(shape)
    kinds = {
        "uniform": torch.rand(shape, generator=generator),
        "gray": gray.contiguous(),
        "black and white": (gray > 0.5).float().contiguous(),
        "edges of the cube": torch.randint(0, 3, shape, generator=generator) / 2,
        OURS: _first(load("digits", SIDE).test_images),
    }
    missing = []
    for name, source in ((MNIST, "mnist"), (CIFAR, "cifar10")):
        try:
            x = _first(load(source, SIDE).test_images)
        except EquiconvError as problem:
            missing.append(f"{name}: {problem}")
        else:
            kinds[name] = x if x.shape[1] == 3 else x * torch.rand(COUNT, 3, 1, 1, generator=generator)
    return kinds, missing


def _first(pixels: Pixels) -> Tensor:
    return float_batch(pixels[:COUNT])


def error(case: Case, x: Tensor) -> float:
    """Return how far the layer of a case is from following its shifts, relative to what it returns.

    Args:
        case: the layer and the shifts.
        x: images ``(B, 3, S, S)`` with values from 0 to 1.

    Returns:
        The largest ``|f(g x) - g f(x)| / |f(x)|`` over the elements g.
    """
    torch.manual_seed(0)
    out_type = FIELDS * case.group.regular
    layer: nn.Module = GroupConv2d(case.group.image, out_type, 3, padding=1)
    if case.where == ON_COVER:
        layer, x = on_cover(layer), case.group.tone.model.of(x)
    with torch.no_grad():
        y = layer(x)
        differences = [
            layer(_shifted(case, x, g)) - out_type.transform(y, g)
            for g in range(1, 2 if case.one_step else case.group.order)
        ]
    return max(float(difference.norm() / y.norm()) for difference in differences)


def _shifted(case: Case, x: Tensor, g: int) -> Tensor:
    """Shift images by code of its own; on the cover, and for shifts that are cut off, there is none but the group's."""
    if case.where == ON_COVER:
        return (1 * case.group.cover).transform(x, g)
    moved = case.shift.transform_image(x, g) if case.truncates else move_image(case.shift, x, g)
    return moved.clamp(0, 1) if case.clipped else moved


def _row(case: Case, kinds: dict[str, Tensor]) -> dict[str, object]:
    errors = {name: error(case, x) for name, x in kinds.items()}
    return {"layer": repr(case.group), "shift": case.title(), "errors": errors}


def _cost(n: int, setting: Setting, *, quick: bool) -> dict[str, object]:
    """Return how long lifting by the image takes, in training, over lifting by the kernel: a layer, and a network."""
    side, batch, width = (14, 2, 2) if quick else (32, 16, 16)
    groups = {"kernel": HueShift(n), "image": HueShift(n, "hsv")}
    makers: dict[str, Callable[[Group], nn.Module]] = {
        "layer": lambda group: GroupConv2d(group.image, 2 * width * group.regular, 3, padding=1),
        "network": lambda group: CNN(group, width, kernel_sizes=(3, 3, 3) if quick else (3, 3, 3, 3, 3, 3, 4)),
    }
    x = torch.rand(batch, 3, side, side)
    found: dict[str, object] = {"hues": n}
    for what, make in makers.items():
        tasks: dict[str, Task] = {name: partial(_step, make(group), x) for name, group in groups.items()}
        times = take_turns(tasks, setting)
        found[what] = times["image"] / times["kernel"]
    return found


def _step(module: nn.Module, x: Tensor) -> None:
    module.zero_grad()
    module(x).square().mean().backward()


def markdown(rows: Sequence[dict], costs: Sequence[dict]) -> str:
    """Return the tables of the errors and of the costs."""
    kinds = list(rows[0]["errors"])
    errors = [[f"`{row['layer']}`", row["shift"], *(f"{row['errors'][kind]:.0e}" for kind in kinds)] for row in rows]
    ratios = [[str(cost["hues"]), f"{cost['layer']:.2f}", f"{cost['network']:.2f}"] for cost in costs]
    columns = ["hues", "first layer", "network of seven layers"]
    return table(["layer", "shifted by", *kinds], errors, 2) + "\n" + table(columns, ratios, 0)
