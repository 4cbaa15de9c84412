"""Modules of e2cnn, and networks made of them, as ours."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from equiconv.errors import EquiconvError
from equiconv.interop.e2cnn import activations, convolutions, gating, norms, pooling
from equiconv.interop.e2cnn.basis import ChangeOfBasis
from equiconv.interop.e2cnn.fields import Fields
from equiconv.interop.e2cnn.names import e2cnn_name, holds_e2cnn

__all__ = ["from_e2cnn"]

CONVERTERS: dict[str, Callable[[Any], nn.Module]] = {
    "R2Conv": convolutions.convolution,
    "R2ConvTransposed": convolutions.transposed,
    "R2Diffop": convolutions.differential,
    "R2Upsampling": pooling.upsampling,
    "InnerBatchNorm": norms.inner,
    "NormBatchNorm": norms.by_norm,
    "InducedNormBatchNorm": norms.by_norm,
    "GNormBatchNorm": norms.by_irrep,
    "ReLU": activations.relu,
    "ELU": activations.elu,
    "PointwiseNonLinearity": activations.pointwise,
    "NormNonLinearity": activations.by_norm,
    "InducedNormNonLinearity": activations.by_norm,
    "GatedNonLinearity1": gating.gated,
    "InducedGatedNonLinearity1": gating.gated,
    "GatedNonLinearity2": gating.gated_apart,
    "VectorFieldNonLinearity": activations.vectors,
    "FieldDropout": activations.field_dropout,
    "PointwiseDropout": activations.point_dropout,
    "PointwiseMaxPool": pooling.maximum,
    "PointwiseMaxPoolAntialiased": pooling.blurred_maximum,
    "PointwiseAvgPool": pooling.mean,
    "PointwiseAvgPoolAntialiased": pooling.blurred,
    "PointwiseAdaptiveAvgPool": pooling.adaptive,
    "PointwiseAdaptiveMaxPool": pooling.adaptive,
    "NormMaxPool": pooling.longest,
    "GroupPooling": pooling.over_group,
    "NormPool": pooling.norms,
    "InducedNormPool": pooling.induced_norms,
    "MaskModule": pooling.mask,
    "IdentityModule": lambda module: nn.Identity(),
    "RestrictionModule": lambda module: rearranged(module),
    "DisentangleModule": lambda module: rearranged(module),
    "ReshuffleModule": lambda module: rearranged(module),
}

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)  # they are what they hold
REFUSED = {
    "ConcatenatedNonLinearity": "its change of basis comes from an optimizer, whose result differs from run to run",
    "BranchingModule": "it returns a dictionary of tensors; convert the MultipleModule around it, or the modules in it",
    "MergeModule": "it takes a dictionary of tensors; convert the MultipleModule around it, or the modules in it",
}


def from_e2cnn(module: nn.Module) -> nn.Module:
    """Turn a module of e2cnn, or a network made of such modules, into one of equiconv that computes the same.

    Equivariance:
        That of the e2cnn module, with the elements of both groups matched by how they move the plane.

    Args:
        module: a module of e2cnn 0.2.3; or an ordinary ``nn.Module`` that calls such modules and wraps and unwraps
            ``GeometricTensor``. It stays as it is.

    Returns:
        A module that does not need e2cnn, in the same mode. A module between fields takes and returns tensors of
        equiconv, as ``fields_from_e2cnn`` makes them; a network whose forward takes and returns ordinary tensors
        still does.

    Raises:
        EquiconvError: if a module has no equal in equiconv, or the forward of a network cannot be traced; the message
            names it and says why.

    Example:
        >>> from equiconv.interop import from_e2cnn
        >>> from_e2cnn(nn.Conv2d(1, 2, 3))  # nothing of e2cnn in it
        Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), and its library e2cnn 0.2.3.
    """
    if not isinstance(module, nn.Module):
        raise EquiconvError(f"from_e2cnn converts modules, of e2cnn or made of them; got {module!r}")
    made = converted(module, {})
    devices = {tensor.device for tensor in chain(module.parameters(), module.buffers())}
    return made.to(devices.pop()) if len(devices) == 1 else made


def converted(module: nn.Module, made: dict[int, Any]) -> nn.Module:
    """Return what a module becomes; ``made`` holds those that were converted before, so that shared ones stay so."""
    if id(module) not in made:
        made[id(module)] = _converted(module, made)
        made[id(module)].training = module.training
    return made[id(module)]


def _converted(module: nn.Module, made: dict[int, Any]) -> nn.Module:
    name = e2cnn_name(module)
    if not holds_e2cnn(module):
        return copy.deepcopy(module, made)
    if isinstance(module, PARALLEL):
        return converted(module.module, made)
    if name in CONVERTERS:
        return _single(module, CONVERTERS[name])
    if name in REFUSED:
        raise EquiconvError(f"{name} of e2cnn has no equal in equiconv: {REFUSED[name]}")
    parts = OrderedDict((key, child) for key, child in module._modules.items() if child is not None)  # shared ones too
    if isinstance(module, nn.ModuleDict):
        return nn.ModuleDict({key: _part(key, child, made) for key, child in parts.items()})
    if isinstance(module, nn.ModuleList):
        return nn.ModuleList(_part(key, child, made) for key, child in parts.items())
    if name == "SequentialModule" or (type(module) is nn.Sequential and all(map(holds_e2cnn, parts.values()))):
        return nn.Sequential(OrderedDict((key, _part(key, child, made)) for key, child in parts.items()))
    from equiconv.interop.e2cnn.tracing import traced  # it loads torch.fx

    return traced(module, lambda key: _part(key, module.get_submodule(key), made), is_step, made)


def _single(module: nn.Module, convert: Callable[[Any], nn.Module]) -> nn.Module:
    """Convert one module of e2cnn; it stays on its device and in its mode."""
    try:
        made = convert(module)
        _freeze(made, module)
    except EquiconvError as error:
        raise EquiconvError(f"{type(module).__name__} of e2cnn cannot be converted: {error}") from error
    like = next(module.parameters(), None)
    return (made if like is None else made.to(like.device, like.dtype)).train(module.training)


def _freeze(made: nn.Module, module: nn.Module) -> None:
    """Let the weights, and the biases, be trained if those of the module are."""
    for biases in (False, True):
        theirs, ours = ([p for name, p in m.named_parameters() if ("bias" in name) == biases] for m in (module, made))
        trained = {parameter.requires_grad for parameter in theirs}
        if len(trained) > 1 and ours:
            raise EquiconvError("some of its parameters require gradients and some do not, and here they are in one")
        for parameter in ours if trained else ():
            parameter.requires_grad_(trained == {True})


def _part(key: str, module: nn.Module, made: dict[int, Any]) -> nn.Module:
    """Convert a part of a network; errors say where it is."""
    try:
        return converted(module, made)
    except EquiconvError as error:
        raise EquiconvError(f"{key}: {error}") from error


def is_step(module: nn.Module) -> bool:
    """Tell whether a module is converted as a whole, not what its forward does."""
    known = (CONVERTERS.keys() | REFUSED.keys() | {"SequentialModule"}) - {"BranchingModule", "MergeModule"}
    return e2cnn_name(module) in known or not holds_e2cnn(module)


def rearranged(module: Any) -> nn.Module:
    """Convert a module that only re-orders channels and changes their basis: let it act on each channel alone."""
    from equiconv.interop.e2cnn.tracing import geometric

    source, target = Fields(module.in_type), Fields(module.out_type)
    device = next(module.buffers(), torch.empty(0)).device
    with torch.no_grad():
        channels = torch.eye(module.in_type.size, device=device)[:, :, None, None]
        image = module(geometric(channels, module.in_type)).tensor
    theirs = image[:, :, 0, 0].T.double().cpu().numpy()  # (out, in)
    matrix = target.matrix @ np.asarray((source.matrix @ theirs.T).T)
    return ChangeOfBasis(matrix, in_type=source.type, out_type=target.type)
