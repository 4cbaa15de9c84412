"""Equivariant networks as ordinary PyTorch networks, to be trained on without the constraint."""

import copy
from collections.abc import Callable, Container, Sequence

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from equiconv.errors import ExportError
from equiconv.exporting.export import copied
from equiconv.exporting.writing import Example, arguments_of, compare, first_outputs, outputs, same, write
from equiconv.groups import FieldType
from equiconv.layers import FieldBatchNorm, FieldDropout
from equiconv.layers.convolution import Convolution
from equiconv.layers.layer import full_precision

__all__ = ["to_torch"]

Plain = Callable[[nn.Module], nn.Module | None]


def to_torch(module: nn.Module, example: Example, *, freeze: bool = False) -> fx.GraphModule:
    """Turn a network into an ordinary PyTorch network of the same function that can be trained on, unconstrained.

    As ``equiconv.export``, but for training: the kernels are expanded into free parameters of ``nn.Conv2d``, and batch
    norms and dropouts stay and follow ``train()`` and ``eval()``. Before the first step the network computes what the
    module computes in both modes; after it nothing keeps it equivariant.

    Args:
        module: any module, in training or evaluation; it stays as it is.
        example: a batch of images, or the tuple of all arguments of ``forward``, each a batch.
        freeze: what happens to a ``FieldBatchNorm`` that no batch norm of PyTorch equals, because a summand of its
            fields has no mean, as irreps but the trivial one, or several with one variance. If True, it keeps its
            running statistics as they are, and becomes a learned scale and shift; if False, the network is refused.

    Returns:
        A ``torch.fx.GraphModule``, each part in the mode of the layer that it comes from. It takes any number of
        images, and images of other sizes where the module does.

    Raises:
        ExportError: where ``equiconv.export`` raises it; if a batch norm has no counterpart and ``freeze`` is False; if
            ``forward`` does other things in training than in evaluation, besides batch norm and dropout; or if it
            changes gradients itself.

    Example:
        >>> import torch
        >>> from equiconv import P4
        >>> from equiconv.interop import to_torch
        >>> from equiconv.models import CNN
        >>> plain = to_torch(CNN(P4(), 2, kernel_sizes=(3, 3, 3)), torch.randn(2, 3, 12, 12))
        >>> type(plain.get_submodule("features.1"))
        <class 'torch.nn.modules.batchnorm.BatchNorm3d'>
    """
    args = arguments_of(module, example)
    with torch.inference_mode(False), torch.no_grad(), full_precision(args[0]):
        own, frozen = _prepared(copied(module), freeze)
        modes = {path: layer.training for path, layer in own.named_modules()}
        name = type(module).__name__
        compare(first_outputs(copied(module).eval(), args), outputs(own.eval(), args), name)
        written = write(own, args, trainable=True)
        compare(outputs(own, args), outputs(written, args), name)
        _compare_gradients(own, written, args, name)
        if not frozen:
            _compare_in_training(own, copy.deepcopy(written), args, name)
    for path, part in written.named_modules():
        part.training = modes[_nearest(path, modes)]
    return written


def _nearest(path: str, known: Container[str]) -> str:
    """Return the path of the innermost module around a path that is known."""
    while path not in known:
        path = path.rpartition(".")[0]
    return path


def _prepared(module: nn.Module, freeze: bool) -> tuple[nn.Module, bool]:
    """Put PyTorch's batch norms and dropouts in the place of those of fields; tell whether a norm has none."""
    plain: dict[nn.Module, nn.Module] = {}
    frozen = False
    for name, layer in module.named_modules():
        if isinstance(layer, Convolution):
            layer.execution = "dense"
        elif isinstance(layer, FieldDropout):
            flat = _is_of_channels(layer.in_type)
            plain[layer] = nn.Dropout2d(layer.p) if flat else _in_fields(layer.in_type, nn.Dropout3d(layer.p))
        elif isinstance(layer, FieldBatchNorm):
            norm = _norm(layer)
            if norm is None and not freeze:
                raise ExportError(
                    f"{name or 'the module'}, {layer!r}, has no counterpart in PyTorch that trains: a summand of its "
                    "fields has no mean, or several; freeze=True keeps its running statistics for good"
                )
            plain |= {} if norm is None else {layer: norm}
            frozen |= norm is None
    for layer, new in plain.items():
        new.train(layer.training)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if child in plain:
                setattr(parent, name, plain[child])
    return plain.get(module, module), frozen


class _InFields(nn.Module):
    """Apply modules to summands of fields whose tensors may be flat: to entries of the fiber, block by block."""

    def __init__(self, in_type: FieldType, *blocks: nn.Module, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.in_type, self.sizes = in_type, sizes
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the type of ``x``."""
        parts = self.in_type.fields(x).split(self.sizes, 2)  # each (b, n, size, h, w)
        results = [block(part) for block, part in zip(self.blocks, parts, strict=True)]
        return self.in_type.like(results[0] if len(results) == 1 else torch.cat(results, 2))  # (b, n, d, h, w)


def _in_fields(in_type: FieldType, module: nn.Module) -> nn.Module:
    return _InFields(in_type, module, sizes=(in_type.fiber,)) if in_type.flat else module


def _is_of_channels(in_type: FieldType) -> bool:
    """Tell whether every field is a channel of a flat tensor."""
    return in_type.flat and in_type.fiber == 1


def _norm(layer: FieldBatchNorm) -> nn.Module | None:
    """Return the same of PyTorch's batch norms, one for each summand; None if one of them has no counterpart."""
    blocks, start = [], 0
    flat = _is_of_channels(layer.in_type)
    for summand, size in enumerate(layer.sizes):
        row = _mean_row(layer, start, start + size)
        if row is None:
            return None
        blocks.append(_block(layer, summand, row, nn.BatchNorm2d if flat else nn.BatchNorm3d))
        start += size
    if len(blocks) > 1:
        return _InFields(layer.in_type, *blocks, sizes=tuple(layer.sizes))
    return blocks[0] if flat else _in_fields(layer.in_type, blocks[0])


def _mean_row(layer: FieldBatchNorm, start: int, end: int) -> int | None:
    """Return which invariant direction is the mean of the entries of a summand; None if it has none, or others."""
    rows = [row for row, values in enumerate(layer.directions) if values[start:end].abs().max() > 0]
    if len(rows) != 1:
        return None
    values = layer.directions[rows[0]]
    inside = values[start:end]
    is_mean = torch.allclose(inside, inside[:1]) and values.abs().sum() == inside.abs().sum()
    return rows[0] if is_mean else None


def _block(
    layer: FieldBatchNorm, summand: int, row: int, kind: type[nn.BatchNorm2d | nn.BatchNorm3d]
) -> nn.BatchNorm2d | nn.BatchNorm3d:
    height = layer.directions[row].abs().max() * layer.directions[row].sum().sign()
    norm = kind(layer.in_type.n, eps=layer.eps, momentum=layer.momentum, affine=layer.affine)
    norm = norm.to(layer.running_var.device, layer.running_var.dtype)
    norm.running_mean = layer.running_mean[:, row] * height
    norm.running_var = layer.running_var[:, summand].clone()
    if layer.weight is not None and layer.bias is not None:
        norm.weight.copy_(layer.weight[:, summand])
        norm.bias.copy_(layer.bias[:, row] * height)
        norm.weight.requires_grad_(layer.weight.requires_grad)
        norm.bias.requires_grad_(layer.bias.requires_grad)
    return norm


def _compare_in_training(module: nn.Module, written: nn.Module, args: tuple[Tensor, ...], name: str) -> None:
    """Raise ExportError unless both compute the same in training, and in evaluation after it."""
    before = copy.deepcopy(module)
    expected, got = ((outputs(net.train(), args), outputs(net.eval(), args)) for net in (module, written))
    if not same(expected, got):
        found = _other_in_training(before, args)
        reason = f"no counterpart trains as {' and '.join(found)}; " if found else ""
        reason += "forward may do nothing else in training than in evaluation, but for batch norms and dropouts"
        compare(expected, got, f"{name} in training", reason)


def _other_in_training(module: nn.Module, args: tuple[Tensor, ...]) -> list[str]:
    """Return the layers, but for batch norms and dropouts, that compute something else in training."""
    expected, found = outputs(copy.deepcopy(module).train(), args), []
    for path, layer in module.named_modules():
        if not path or isinstance(layer, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            continue
        other = copy.deepcopy(module).train()
        other.get_submodule(path).training = False
        if not same(expected, outputs(other, args)):
            found.append(f"{path}, {type(layer).__name__}")
    return found


def _compare_gradients(module: nn.Module, written: nn.Module, args: tuple[Tensor, ...], name: str) -> None:
    """Raise ExportError unless gradients are the same: of inputs, and of parameters that both have."""
    theirs = dict(written.named_parameters())
    common = [
        path
        for path, own in module.named_parameters()
        if own.requires_grad and path in theirs and torch.equal(own, theirs[path])
    ]
    expected, got = (_gradients(net, args, common) for net in (module, written))
    if not same(expected, got, 0.01):  # where a rectifier is close to its kink, rounding may go to the other side
        raise ExportError(
            f"{name}: gradients of what was written differ from those of the module; forward may not change them "
            "itself, as autograd.Function and hooks do"
        )


def _gradients(module: nn.Module, args: tuple[Tensor, ...], names: Sequence[str]) -> list[Tensor]:
    """Return gradients of inputs and of some parameters, of a sum of outputs with weights that are always the same."""
    with torch.enable_grad():
        inputs = tuple(_away_from(x).requires_grad_() if x.is_floating_point() else x for x in args)
        wanted = [x for x in inputs if x.requires_grad] + [module.get_parameter(name) for name in names]
        results = [y for y in pytree.tree_leaves(outputs(module, inputs)) if isinstance(y, Tensor) and y.requires_grad]
        if not results or not wanted:
            return []
        weights = [torch.linspace(-1, 1, y.numel(), device=y.device).sin().reshape(y.shape).to(y) for y in results]
        found = torch.autograd.grad(results, wanted, weights, allow_unused=True)
    return [torch.zeros_like(x) if gradient is None else gradient for x, gradient in zip(wanted, found, strict=True)]


def _away_from(x: Tensor) -> Tensor:
    """Return a tensor close to another, of which no entries are equal: rounding would say which is the maximum."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return x + 0.1 * (1 + x.abs().mean()) * noise.to(x)
