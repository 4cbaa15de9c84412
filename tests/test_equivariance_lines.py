"""What a docstring says under "Equivariance" begins with fixed words, and is what is measured."""

import inspect
import re

import pytest
import torch
from lines import (
    COLORED,
    EVERY,
    FINITE,
    FIRST,
    GRID,
    INNER,
    LAYERS,
    LINES,
    MODELS,
    NONE,
    PART,
    SAMPLED,
    TURNS,
    Line,
    Make,
    conv,
    fourier,
)
from samples import Typed
from torch import nn
from zoo import Wrapped, fourier_samples_at_the_wrong_elements, hidden, kernel_not_rotated, relu_on_irreps
from zoo_layers import branches_at_the_wrong_entries, subgroup_windows_from_the_left

from equiconv import layers, losses, models
from equiconv.errors import ExactnessError
from equiconv.groups import P4
from equiconv.layers import ChannelMaxPool, DiskMask, FourierActivation, GroupConv2d, Restrict
from equiconv.testing import equivariance_error

SECTIONS = ["Equivariance", "Args", "Attributes", "Shapes", "Returns", "Initialization", "Raises", "Example", "Source"]
SIDE = 41  # of the images that figures are measured on
DOCUMENTED = {
    name: kind
    for package in (layers, losses, models)
    for name in package.__all__
    if callable(kind := getattr(package, name))
}


def section(doc: str) -> str:
    """Return what stands under "Equivariance", in one line."""
    found = re.search(r"^Equivariance:\n((?: .*\n|\n(?= ))+)", doc, re.MULTILINE)
    assert found, "no line says what holds"
    return " ".join(found[1].split())


def check_form(doc: str, verdict: str | None) -> None:
    """Raise AssertionError unless sections are in their order, and the first words are the verdict."""
    found = [name for name in re.findall(r"^(\w+):$", doc, re.MULTILINE) if name in SECTIONS]
    assert found == sorted(found, key=SECTIONS.index), found
    if verdict:
        assert re.match(f"{verdict}[:.,]", section(doc)), section(doc)


def exact(module: nn.Module, *types, size: int = 9) -> bool:
    return equivariance_error(module, *types, size=(size, size)) < 1e-10


def check_law(line: Line, text: str) -> None:
    """Raise AssertionError unless the verdict is right."""
    if line.verdict == NONE:
        assert not exact(line.make(P4()), size=line.size)
        return
    assert exact(line.make(COLORED), size=line.size)
    if line.verdict in (EVERY, FINITE, PART, FIRST):  # pixels are as by themselves: one shows all angles
        assert exact(line.make(TURNS), size=1)
    if line.verdict == FINITE:
        layer, part = line.make(SAMPLED), SAMPLED.sampled(4 * (SAMPLED.max_frequency + 1))
        assert exact(layer, layer.in_type.restrict(part), layer.out_type.restrict(part), size=1)
    if line.verdict == FIRST:
        layer = line.make(COLORED)
        nn.init.normal_(layer.weight)
        assert not exact(layer)
    if line.verdict == GRID:
        check_between(line, text)


def check_between(line: Line, text: str) -> None:
    """Raise AssertionError unless turns between the pixels are refused, or approximate but for quarter turns."""
    if "refused" in text:
        with pytest.raises(ExactnessError):
            line.make(TURNS)
        return
    layer = line.make(TURNS)
    types = (layer.in_type.restrict(P4()), layer.out_type.restrict(P4()))
    assert exact(layer, *types, size=line.size)
    if not line.figures:
        assert "Other angles are approximate." in text
        mask = DiskMask(layer.in_type, margin=0.25, sigma=2)  # corners that leave the image would count
        masked = Typed(layer.in_type, mask, layer, out_type=layer.out_type)
        assert 1e-8 < equivariance_error(masked, size=(line.size + 28, line.size + 28)) < 0.5


def check_figures(line: Line, text: str) -> None:
    """Raise AssertionError unless the errors are as large as the docstring says, or a little smaller."""
    said = re.findall(r"error of (0\.\d+)", text)
    assert len(said) == len(line.figures)
    for figure, make in zip(map(float, said), line.figures, strict=True):
        module = make()
        side = SIDE if module.in_type.group.max_frequency is None else 1  # tables hold angles, not interpolated images
        assert figure / 3 < equivariance_error(module, size=(side, side)) <= figure


def doc_of(name: str) -> str:
    return inspect.getdoc(DOCUMENTED[name]) or ""


def test_no_layer_is_missing():
    assert set(LAYERS) == set(layers.__all__)
    assert set(MODELS) == {
        name for name in models.__all__ if inspect.isclass(kind := DOCUMENTED.get(name)) and issubclass(kind, nn.Module)
    }


@pytest.mark.parametrize("name", DOCUMENTED)
def test_form(name):
    check_form(doc_of(name), GRID if name == "EquivarianceLoss" else LINES[name].verdict if name in LINES else None)


@pytest.mark.parametrize("name", LINES)
def test_what_a_line_says_is_measured(name):
    text = section(doc_of(name))
    check_law(LINES[name], text)
    check_figures(LINES[name], text)


def leaning(make: Make) -> Make:
    """Return the layers with entries and pixels that weigh unequally."""

    def made(group):
        layer = make(group)

        def call(x, inner):
            return inner(x * torch.linspace(1, 1.2, x[0].numel()).view_as(x[0]).to(x))

        return Wrapped(layer.in_type, layer.out_type, call, layer)

    return made


@pytest.mark.parametrize("name", [name for name, line in LINES.items() if line.verdict != NONE])
def test_a_layer_that_leans_is_rejected(name):
    with pytest.raises(AssertionError):
        check_law(LINES[name]._replace(make=leaning(LINES[name].make)), section(doc_of(name)))


def taught(g):
    """An ordinary pooling of channels that move as they should."""
    kind = 2 * P4().regular
    return Typed(
        P4().image, GroupConv2d(P4().image, kind, 3), nn.Flatten(1, 2), ChannelMaxPool(4), out_type=2 * P4().trivial
    )


@pytest.mark.parametrize(
    ("verdict", "make"),
    [
        (EVERY, relu_on_irreps),
        (FINITE, fourier_samples_at_the_wrong_elements),
        (GRID, kernel_not_rotated),
        (PART, subgroup_windows_from_the_left),
        (INNER, branches_at_the_wrong_entries),
        (NONE, lambda: taught(P4())),
    ],
)
def test_a_broken_layer_is_rejected(verdict, make):
    with pytest.raises(AssertionError):
        check_law(Line(verdict, lambda g: make()), "Other angles are approximate.")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (Line(GRID, conv), "Groups with other angles are refused."),
        (LINES["AdaptivePool"], "Other angles are approximate."),
        (Line(GRID, lambda g: Restrict(2 * g.regular, [2])), "Other angles are approximate."),
        (Line(GRID, lambda g: hidden() if g == TURNS else conv(g)), "Other angles are approximate."),
        (Line(FINITE, lambda g: fourier(g) if g != SAMPLED else FourierActivation(2 * g.regular, samples=7)), ""),
    ],
)
def test_a_wrong_word_is_rejected(line, text):
    with pytest.raises((AssertionError, ExactnessError, pytest.fail.Exception)):
        check_law(line, text)


@pytest.mark.parametrize(
    "text", ["an error of 0.002", "an error of 0.06", "", "an error of 0.006, or an error of 0.006"]
)
def test_a_wrong_figure_is_rejected(text):
    check_figures(LINES["GroupConv2d"], "an error of 0.006")
    with pytest.raises(AssertionError):
        check_figures(LINES["GroupConv2d"], text)


@pytest.mark.parametrize(
    "doc",
    [
        "Pool.\n\nArgs:\n    x: y.\n\nEquivariance:\n    Exact on every group.\n",
        "Pool.\n\nEquivariance:\n    Exact for most groups.\n",
        "Pool.\n\nArgs:\n    x: y.\n",
    ],
)
def test_another_form_is_rejected(doc):
    check_form("Pool.\n\nEquivariance:\n    Exact on every group.\n\nArgs:\n    x: y.\n", EVERY)
    with pytest.raises(AssertionError):
        check_form(doc, EVERY)
