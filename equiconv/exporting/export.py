"""Write a network as a plain PyTorch module."""

import copy

import torch
from torch import fx, nn

from equiconv.errors import ExportError
from equiconv.execution import Plan
from equiconv.exporting.writing import Example, arguments_of, compare, first_outputs, outputs, write
from equiconv.layers.convolution import Convolution, Expanded
from equiconv.layers.layer import full_precision

__all__ = ["export"]


def export(module: nn.Module, example: Example) -> fx.GraphModule:
    """Write a network as a plain PyTorch module that computes the same in evaluation.

    The result is made of ``nn.Conv2d``, ``nn.Linear``, ``nn.BatchNorm2d`` and functions of PyTorch. Kernels are
    expanded once, and batch norms that follow a convolution are part of it. It has parameters under the names of the
    layers they come from, and is saved, traced, quantized and run where equiconv is not installed.

    Args:
        module: any module, in training or evaluation; it stays as it is.
        example: a batch of images, or the tuple of all arguments of ``forward``, each a batch, on the device and in the
            precision of the module. Each convolution is executed as it is for batches like it.

    Returns:
        A ``torch.fx.GraphModule`` in evaluation. It takes any number of images, and images of other sizes where the
        module does; where sizes are built in, others are refused.

    Raises:
        ExportError: if the module cannot be traced: where ``forward`` depends on the numbers in its input, changes a
            buffer in evaluation, turns autocast on, or returns other things than tensors; if the size of the batch is
            built in; or if what was written does not compute the same for the example.

    Example:
        >>> import torch
        >>> from equiconv import P4, GroupConv2d, export
        >>> plain = export(GroupConv2d(P4().image, 2 * P4().regular, 3), torch.randn(2, 3, 9, 9))
        >>> plain.conv
        Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
    """
    args = arguments_of(module, example)
    with torch.inference_mode(False), torch.no_grad(), full_precision(args[0]):
        own = copied(module).eval()
        expected = settled(own, args)
        written = write(own, args, trainable=False)
        compare(expected, outputs(written, args), type(module).__name__)
    return written.eval()


def copied(module: nn.Module) -> nn.Module:
    """Return a copy of a module.

    Raises:
        ExportError: if it cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise ExportError(f"{type(module).__name__} cannot be copied: {error}") from error


def settled(module: nn.Module, args: tuple[torch.Tensor, ...]) -> object:
    """Give every convolution the kernels of the execution that it takes for these arguments; return the outputs."""
    taken: dict[Convolution, Plan] = {}

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(layer, Convolution):
            taken[layer] = layer._plan_for(layer.in_type.flatten(inputs[0]))

    hooks = [layer.register_forward_pre_hook(note) for layer in module.modules() if isinstance(layer, Convolution)]
    expected = first_outputs(module, args)
    for hook in hooks:
        hook.remove()
    for layer, plan in taken.items():
        _settle(layer, plan)
    return expected


def _settle(layer: Convolution, plan: Plan) -> None:
    """Let a convolution read its kernels, so that nobody has to trace how they are made."""
    layer.execution = plan.name
    kernels, bias = layer._expanded(plan)
    learned = any(parameter.requires_grad for parameter in layer.factors())
    names = [f"kernel_{number}" for number in range(len(kernels))]
    for name, kernel in zip(names, kernels, strict=True):
        layer.register_parameter(name, nn.Parameter(kernel.detach(), requires_grad=learned))
    if bias is not None and layer.bias is not None:
        new = nn.Parameter(bias.detach(), requires_grad=layer.bias.requires_grad)
        layer.register_parameter("kernel_bias", new)

    def expanded(plan: Plan) -> Expanded:
        return [getattr(layer, name) for name in names], getattr(layer, "kernel_bias", None)

    vars(layer)["_expanded"] = expanded
