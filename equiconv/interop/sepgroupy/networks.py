"""The weights of SepGroupPy."""

from collections.abc import Mapping

from torch import nn

from equiconv.errors import EquiconvError
from equiconv.groups import P4, P4M, Group, Trivial
from equiconv.interop.networks import Names, digits, numbered, residual
from equiconv.interop.weights import fill_named, unwrapped, without_prefix

__all__ = ["from_sepgroupy"]

SEPGROUPY = Names("layer", 1, "downsample", "fc")
GROUPS = {1: Trivial, 4: P4, 8: P4M}


def from_sepgroupy(state_dict: Mapping[str, object], *, into: nn.Module | None = None) -> nn.Module:
    """Return a network with the weights of SepGroupPy, which computes what the network of SepGroupPy computes.

    Read off the names and shapes are which of the published networks it is, the group, the widths, the factorization
    and the classes: of the networks of seven layers for rotated digits (Z2CNN, c-Z2CNN, P4CNN, g-P4CNN and gc-P4CNN),
    and of the residual networks with preactivation (ResNet44, with separable layers too, p4m-ResNet44, g-p4m-ResNet44
    and gc-p4m-ResNet44).

    The networks for digits return logits; those of SepGroupPy return ``log_softmax`` of them.

    Equivariance:
        That of the network: P4CNN and its kin are invariant under quarter turns. The published p4m networks are not,
        since the group is flattened into channels and strides do not fit images of even size.

    Args:
        state_dict: names and tensors; or a checkpoint that holds such. Prefixes of wrappers, which all names have and
            the network has not, are taken off. ``read_checkpoint`` reads one from a file.
        into: a network of your own whose layers are made by ``P4ConvZ2`` and the other functions and named as in the
            state dict, or one such layer; None for the published networks. A layer alone does not tell its stride and
            padding, so that it can only be filled.

    Returns:
        ``into`` with the weights; or a ``CNN`` or ``ResNet`` in the precision and on the device of the weights, in
        training mode as every new module.

    Raises:
        EquiconvError: if these are not the weights of such a network: the message names keys that are missing, of
            another shape, or have no place. Nothing is changed then.

    Example:
        >>> import torch
        >>> from equiconv.interop.sepgroupy import gcP4ConvP4
        >>> weights = {"depthwise_weight": torch.rand(8, 1, 1, 3, 3), "pointwise_weight": torch.rand(8, 2, 4, 1, 1)}
        >>> conv = from_sepgroupy(weights, into=gcP4ConvP4(2, 8, 3, padding=1, bias=False))
        >>> bool((conv.spatial == weights["depthwise_weight"].flatten(1)).all())
        True

    Source:
        Lengyel and van Gemert, Exploiting Learned Symmetries in Group Equivariant Convolutions (ICIP 2021), and the
        names in its code.
    """
    state = unwrapped(state_dict)
    if into is not None:
        return fill_named(into, state)
    bare = without_prefix(state)
    if numbered(bare, "layer1."):
        return residual(bare, SEPGROUPY, _group, preactivation=True, stem_padding=None)
    if numbered(bare, "conv") and numbered(bare, "bn"):
        return digits(bare, _group, dropout=0.0)
    raise EquiconvError(
        f"these are not the names of a network of SepGroupPy: {', '.join(list(state)[:4])} ...; if they are those of a "
        "layer or of a network of your own, make it with P4ConvZ2 and its kin and pass it as into="
    )


def _group(fiber: int) -> Group:
    if fiber not in GROUPS:
        raise EquiconvError(f"SepGroupPy has the groups p4 and p4m, of 4 and 8 elements; got weights for {fiber}")
    return GROUPS[fiber]()
