"""Penalties on the size of parameters, by what they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from equiconv import EquiconvError
from equiconv.layers.convolution import Convolution

__all__ = ["KINDS", "Penalties", "add_absolute", "check_penalties", "penalty_groups"]

Penalties = Mapping[str, tuple[float, float]]

KINDS = ("convolution", "hidden", "output", "other")
CONVOLUTIONS = (Convolution, nn.Conv2d)


def check_penalties(penalties: Penalties) -> None:
    """Raise EquiconvError unless each is a pair of numbers, at least 0, for one of ``KINDS``."""
    for kind, pair in penalties.items():
        numbers = pair if isinstance(pair, tuple) else ()
        valid = all(isinstance(number, (int, float)) and 0 <= number < float("inf") for number in numbers)
        if kind not in KINDS or len(numbers) != 2 or not valid:
            raise EquiconvError(
                f"penalties are pairs (L1, L2) of numbers, at least 0, for {', '.join(KINDS)}; got {kind} = {pair!r}"
            )


def parameter_kinds(net: nn.Module) -> Mapping[str, Sequence[Tensor]]:
    """Return the parameters of a network by kind: all weights of convolutions, of linear layers, and all else.

    Args:
        net: the network; its last linear layer makes the output, the others are hidden.
    """
    linear = [module.weight for module in net.modules() if isinstance(module, nn.Linear)]
    convolutions = [
        parameter
        for module in net.modules()
        if isinstance(module, CONVOLUTIONS)
        for name, parameter in module.named_parameters(recurse=False)
        if name != "bias"
    ]
    known = {id(parameter) for parameter in [*linear, *convolutions]}
    other = [parameter for parameter in net.parameters() if id(parameter) not in known]
    return {"convolution": convolutions, "hidden": linear[:-1], "output": linear[-1:], "other": other}


def penalty_groups(net: nn.Module, penalties: Penalties, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters as an optimizer takes them, with an L1 and an L2 penalty for each kind.

    Args:
        net: the network.
        penalties: pairs (L1, L2) by kind.
        weight_decay: the L2 penalty of kinds that have no pair.
    """
    groups = []
    for kind, parameters in parameter_kinds(net).items():
        absolute, square = penalties.get(kind, (0.0, weight_decay))
        groups.append({"params": parameters, "l1": absolute, "weight_decay": square})
    return [group for group in groups if group["params"]]


def add_absolute(optimizer: Optimizer, *_: Any) -> None:
    """Add the gradients of the L1 penalties to those of the parameters: a hook in front of each step."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["l1"] else ():
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach().sign(), alpha=group["l1"])
