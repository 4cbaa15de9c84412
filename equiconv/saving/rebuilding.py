"""What is written about a module, and the module that is made of it."""

from typing import Any

import torch
from torch import Tensor, nn

from equiconv.errors import SavingError
from equiconv.saving.checking import check_fits, check_layer_numbers, check_unchanged, layer_numbers
from equiconv.saving.encoding import Encoder
from equiconv.saving.names import Names

TEXTS: dict[str, type | tuple[type, ...]] = {
    "tied": str,
    "executions": str,
    "precisions": str,
    "modes": bool,
    "numbers": (int, float),
}
PARTS = ("module", "representations", "frozen", *TEXTS)


def describe(module: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what rebuilds a module, for JSON, and its weights.

    Raises:
        SavingError: if no file can hold the module.
    """
    encoder = Encoder(Names())
    config: dict[str, Any] = {"module": encoder.encode(module, "the module")}
    config["representations"] = encoder.representations
    tensors, tied = _weights(module)
    made = _ghost(config, encoder.names, len(tensors) + len(tied))
    executions = _executions(module)
    usual = _executions(made)
    config["executions"] = {name: each for name, each in executions.items() if usual.get(name, each) != each}
    with torch.device("meta"):
        _set_executions(made, config["executions"])
    check_unchanged(module, made)
    config |= {
        "modes": _modes(module),
        "frozen": [name for name, each in module.named_parameters(remove_duplicate=False) if not each.requires_grad],
        "tied": tied,
        "precisions": _precisions(module),
        "numbers": layer_numbers(module),
    }
    return config, tensors


def rebuild(config: Any, tensors: dict[str, Tensor], names: Names, device: torch.device) -> nn.Module:
    """Return the module of a description, with these weights.

    Raises:
        EquiconvError: if they do not describe a module, or do not fit each other.
    """
    _check_parts(config)
    tied = config["tied"]
    made = _ghost(config, names, len(tensors) + len(tied))
    state = tensors | {name: tensors[first] for name, first in tied.items() if first in tensors}
    wanted = made.state_dict()
    if missing := sorted(set(wanted) ^ set(state)):
        what = "lacks" if missing[0] in wanted else "has, and its module does not,"
        raise SavingError(f"the file {what} the weights {missing[0]}, and {len(missing) - 1} others")
    for name, value in state.items():
        check_fits(name, value, wanted[name], "the file")
    made.load_state_dict(state, assign=True)
    _tie(made, tied)
    _fill_tables(made, config["precisions"], device)
    _set_executions(made, _executions(made) | config["executions"])
    for name, parameter in made.named_parameters(remove_duplicate=False):
        parameter.requires_grad_(name not in config["frozen"])
    _set_modes(made, config["modes"])
    check_layer_numbers(made, config["numbers"])
    return made


def _check_parts(config: Any) -> None:
    """Raise SavingError unless a description has its parts, which are what they should be."""
    if not isinstance(config, dict) or any(part not in config for part in PARTS):
        raise SavingError(f"the file does not describe a module by {', '.join(PARTS)}")
    for name, each in module.named_modules():
        found[name] = modes.get(name, found[_around(name, found)])
        each.training = found[name]
