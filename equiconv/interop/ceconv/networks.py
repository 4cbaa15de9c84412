"""The weights of CEConv."""

import math
from collections.abc import Mapping

from torch import nn

from equiconv.errors import EquiconvError
from equiconv.groups import Group, HueShift, Trivial
from equiconv.interop.networks import (
    Names,
    State,
    cnn_parts,
    digits,
    factorization,
    head_pool,
    matched,
    numbered,
    residual,
    side,
    tensor,
)
from equiconv.interop.weights import fill_named, unwrapped, without_prefix
from equiconv.models import CNN

__all__ = ["from_ceconv"]

CECONV = Names("layers.", 0, "shortcut", "linear")
TORCHVISION = Names("layer", 1, "downsample", "fc")
DROPOUT = 0.3


def from_ceconv(
    state_dict: Mapping[str, object], *, into: nn.Module | None = None, stem_padding: int | None = None
) -> nn.Module:
    """Return a network with the weights of CEConv, which computes what the network of CEConv computes.

    Read off the names and shapes are which of the published networks it is, the number of hues, the widths, which
    layers or stages are color equivariant and whether they are separable, how the group is pooled in front of the
    head, and the classes. The networks are ``CNN`` and ``CECNN``, ``ResNet18`` to ``ResNet152`` and ``HybridResNet``,
    and the residual networks of torchvision, from which CEConv starts where there is one hue.

    Equivariance:
        That of the network: invariant under hue shifts if the group was pooled, and not if it was flattened.

    Args:
        state_dict: names and tensors; or a checkpoint that holds such. Prefixes of wrappers, which all names have and
            the network has not, are taken off. ``read_checkpoint`` reads one from a file.
        into: a network of your own whose layers are made by ``CEConv2d`` and named as in the state dict, or one such
            layer; None for the published networks. A layer alone does not tell its stride and padding, so that it can
            only be filled.
        stem_padding: pixels on each side of the stem of a residual network. None is what the names tell: 1 for those of
            CEConv, also with its 7x7 stem, and 3 for a 7x7 stem by the names of torchvision. CEConv computes with the
            weights of torchvision what 1 gives.

    Returns:
        ``into`` with the weights; or a ``CNN`` or ``ResNet`` in the precision and on the device of the weights, in
        training mode as every new module.

    Raises:
        EquiconvError: if these are not the weights of such a network: the message names keys that are missing, of
            another shape, or have no place. Nothing is changed then. Also if a color matrix is no hue shift, as CEConv
            learns one with ``learnable=True``: its layer is not equivariant, and there is none like it here.

    Example:
        >>> import torch
        >>> from equiconv.interop.ceconv import CEConv2d
        >>> weights = {"weight": torch.rand(8, 4, 1, 3, 3), "pointwise_weight": torch.rand(8, 4, 3, 1, 1)}
        >>> conv = from_ceconv(weights, into=CEConv2d(3, 3, 4, 8, 3, padding=1, bias=False))
        >>> bool((conv.pointwise == weights["pointwise_weight"].flatten(2)).all())
        True

    Source:
        Lengyel et al., Color Equivariant Convolutional Networks (NeurIPS 2023), and the names in its code.
    """
    state = unwrapped(state_dict)
    if into is not None:
        if stem_padding is not None:
            raise _unused(stem_padding)
        return fill_named(into, state)
    bare = without_prefix(state)
    names = next((each for each in (CECONV, TORCHVISION) if numbered(bare, f"{each.stages}{each.first}.")), None)
    if stem_padding is not None and names is None:
        raise _unused(stem_padding)
    if names is not None:
        padding = 1 if stem_padding is None and names is CECONV else stem_padding
        return residual(bare, names, _hues, preactivation=False, stem_padding=padding)
    if numbered(bare, "ceconv_list."):
        return _colored_digits(bare)
    if numbered(bare, "conv") and numbered(bare, "bn"):
        return digits(bare, _hues, dropout=DROPOUT)
    raise EquiconvError(
        f"these are not the names of a network of CEConv: {', '.join(list(state)[:4])} ...; if they are those of a "
        "layer or of a network of your own, make it with CEConv2d and pass it as into="
    )


def _unused(stem_padding: int) -> EquiconvError:
    return EquiconvError(f"stem_padding is for residual networks that are made here; got {stem_padding!r}")


def _hues(fiber: int) -> Group:
    return Trivial() if fiber == 1 else HueShift(fiber)


def _colored_digits(state: State) -> CNN:
    """Return the network CECNN."""
    colored, plain = numbered(state, "ceconv_list."), numbered(state, "conv2d_list.")
    layers = [f"ceconv_list.{i}." for i in range(colored)] + [f"conv2d_list.{i}." for i in range(plain)]
    convs, head = [f"{layer}0" for layer in layers], tensor(state, "fc.weight", dims=(2,))
    hues, width = _count_hues(state, f"{convs[0]}.transformation_matrix"), tensor(state, f"{convs[0]}.weight").shape[0]
    net = CNN(
        [HueShift(hues)] * colored + [Trivial()] * plain,
        width,
        classes=head.shape[0],
        kernel_sizes=[side(state, name) for name in convs],
        factorization=factorization(state, convs[1]),
        dropout=DROPOUT,
        pool=head_pool(head, width, hues),
    )
    return matched(net, state, cnn_parts(net, convs, [f"{layer}1" for layer in layers]))


def _count_hues(state: State, name: str) -> int:
    """Return of how many hues a matrix is the shift: the trace tells the angle."""
    matrix = tensor(state, name, dims=(2,))
    cosine = (float(matrix.double().trace()) - 1) / 2
    if not -1.01 < cosine < 0.999:
        raise EquiconvError(f"the state dict does not fit: {name} is no hue shift")
    return round(2 * math.pi / math.acos(max(cosine, -1)))
