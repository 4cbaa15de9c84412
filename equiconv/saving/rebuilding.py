"""What is written about a module, and the module that is made of it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from equiconv.errors import EquiconvError, SavingError
from equiconv.layers.convolution import Convolution
from equiconv.saving.changing import Replacing, part_of, replace
from equiconv.saving.checking import (
    check_fits,
    check_layer_numbers,
    check_unchanged,
    layer_numbers,
    named_parts,
)
from equiconv.saving.decoding import Decoder
from equiconv.saving.encoding import Encoder
from equiconv.saving.limits import limited
from equiconv.saving.names import Names
from equiconv.tables import Tables

NAMED: dict[str, Any] = {
    "replaced": (dict, type(None)),
    "tied": str,
    "executions": str,
    "precisions": str,
    "modes": bool,
    "numbers": float,
}
FLOATING = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
PARTS = ("module", "representations", "frozen", *NAMED)


def describe(module: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what rebuilds a module, for JSON, and its weights.

    Raises:
        SavingError: if no file can hold the module.
    """
    encoder = Encoder(Names())
    config: dict[str, Any] = {"module": encoder.encode(module, "the module")}
    config["representations"] = encoder.representations
    tensors, tied = _weights(module)
    with torch.device("meta"), limited(len(tensors) + len(tied)) as budget:
        decoder = Decoder(encoder.names, encoder.representations, budget)
        try:
            made = decoder.module(config["module"])
        except EquiconvError as error:
            raise SavingError(f"the module cannot be rebuilt from its arguments: {error}") from error
        changes = Replacing(encoder, decoder, module, made)
    check_unchanged(module, made)
    config |= {
        "replaced": changes.replaced,
        "executions": changes.executions,
        "modes": _modes(module),
        "frozen": [name for name, each in module.named_parameters(remove_duplicate=False) if not each.requires_grad],
        "tied": tied,
        "precisions": _precisions(module),
        "numbers": layer_numbers(module),
    }
    return config, tensors


def rebuild(config: dict[str, Any], tensors: dict[str, Tensor], names: Names, device: torch.device) -> nn.Module:
    """Return the module of a description, with these weights.

    Raises:
        EquiconvError: if they do not describe a module, or do not fit each other.
    """
    _check_parts(config)
    tied = config["tied"]
    with torch.device("meta"), limited(len(tensors) + len(tied)) as budget:
        decoder = Decoder(names, config["representations"], budget)
        made = decoder.module(config["module"])
        for name, data in config["replaced"].items():
            replace(made, name, data, decoder)
    state = tensors | {name: tensors[first] for name, first in tied.items() if first in tensors}
    wanted = made.state_dict()
    if missing := sorted(set(wanted) ^ set(state)):
        what = "lacks the weights" if missing[0] in wanted else "has weights that its module does not have:"
        raise SavingError(f"the file {what} {missing[0]}, and {len(missing) - 1} others")
    for name, value in state.items():
        check_fits(name, value, wanted[name], "the file")
    made.load_state_dict(state, assign=True)
    _tie(made, tied)
    _fill_tables(made, config["precisions"], device)
    _set_executions(made, _executions(made) | config["executions"])
    for name, parameter in made.named_parameters(remove_duplicate=False):
        parameter.requires_grad_(parameter.is_floating_point() and name not in config["frozen"])
    _set_modes(made, config["modes"])
    check_layer_numbers(made, config["numbers"])
    return made


def _check_parts(config: dict[str, Any]) -> None:
    """Raise SavingError unless a description has its parts, which are what they should be."""
    if missing := [part for part in PARTS if part not in config]:
        raise SavingError(f"the file lacks a part of the description of its module: {missing[0]}")
    for part, kind in NAMED.items():
        if not isinstance(config[part], dict) or not all(isinstance(each, kind) for each in config[part].values()):
            raise SavingError(f"the description of the module is broken: its {part} are {str(config[part])[:40]}")
    for part in ("representations", "frozen"):
        if not isinstance(config[part], list):
            raise SavingError(f"the description of the module is broken: its {part} are {str(config[part])[:40]}")


def _weights(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a module, those that several names share once; and which names share them."""
    tensors: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    first: dict[int, str] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if type(value) not in (Tensor, nn.Parameter) or value.layout is not torch.strided or value.is_quantized:
            raise SavingError(f"{name} is a {type(value).__name__}; a file holds plain tensors only")
        if value.is_meta:
            raise SavingError(f"{name} is on the meta device and has no values; give the module weights first")
        if id(value) in first:
            tied[name] = first[id(value)]
        else:
            first[id(value)] = name
            tensors[name] = value.detach()
    return tensors, tied


def _tie(module: nn.Module, tied: dict[str, str]) -> None:
    """Let parameters and buffers be the same as others."""
    for name, other in tied.items():
        (home, key), (source, first) = _place(module, name), _place(module, other)
        for held in ("_parameters", "_buffers"):
            if first in getattr(source, held) and key in getattr(home, held):
                getattr(home, held)[key] = getattr(source, held)[first]


def _place(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, key = name.rpartition(".")
    return module.get_submodule(path), key


def _executions(module: nn.Module) -> dict[str, str]:
    """Return how each convolution is computed, by its first name."""
    return {name: each.execution for name, each in module.named_modules() if isinstance(each, Convolution)}


def _set_executions(module: nn.Module, executions: dict[str, str]) -> None:
    """Make the plans of convolutions, in the precision and on the device of their weights."""
    for name, execution in executions.items():
        conv = part_of(module, name)
        if not isinstance(conv, Convolution):
            raise SavingError(f"the file says how {name!r} is computed, which is no convolution")
        conv.execution = execution


def _tables(module: nn.Module) -> Iterator[tuple[str, Tables]]:
    """Yield the tables of a module, but not those of plans, which follow the weights of their layer."""
    for name, each in named_parts(module):
        if isinstance(each, Tables) and "alternative" not in name.split("."):
            yield name, each


def _precisions(module: nn.Module) -> dict[str, str]:
    """Return the type of the tables that are not of single precision."""
    found = {}
    for name, each in _tables(module):
        types = [each.get_buffer(table).dtype for table in each._masters]
        floating = [kind for kind in types if kind.is_floating_point]
        if floating and floating[0] != torch.float32:
            found[name] = str(floating[0]).removeprefix("torch.")
    return found


def _fill_tables(module: nn.Module, precisions: dict[str, str], device: torch.device) -> None:
    """Give the tables their values, in the precision that they had."""
    found = dict(_tables(module))
    for name, kind in precisions.items():
        if name not in found or kind not in FLOATING:
            raise SavingError(f"the file gives {name!r} tables of {kind!r}")
    for name, tables in found.items():
        dtype = FLOATING.get(precisions.get(name, ""), torch.float32)
        for table in tables._masters:
            buffer = tables.get_buffer(table)
            tables._buffers[table] = buffer.to(dtype) if buffer.is_floating_point() else buffer
        tables.settle(device)


def _modes(module: nn.Module) -> dict[str, bool]:
    """Return whether the module trains, and its parts where that differs from what is around them."""
    modes = {name: each.training for name, each in named_parts(module)}
    return {name: mode for name, mode in modes.items() if not name or mode != modes[_around(name, modes)]}


def _around(name: str, modes: dict[str, bool]) -> str:
    """Return the name of the module that holds another one."""
    above = name.rpartition(".")[0]
    return above if above in modes else ""


def _set_modes(module: nn.Module, modes: dict[str, bool]) -> None:
    """Set which parts train."""
    for name in modes:
        part_of(module, name)
    found = {"": modes.get("", True)}
    for name, each in named_parts(module):
        found[name] = each.training = modes.get(name, found[_around(name, found)])
