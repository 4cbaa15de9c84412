"""What people do with a module, in the order of the table."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from support import checks, graphs, processes
from support.cases import CASES, Case
from support.outcome import Outcome, outcome

__all__ = ["ALONE", "FEATURES", "Feature", "measured"]

Outcomes = dict[str, dict[str, Outcome]]  # by case and feature


@dataclass(frozen=True)
class Feature:
    """Name something that people do with a module, and check it."""

    part: str
    title: str
    about: str
    check: Callable[[Case], None] | None = None  # None: in several processes, all cases at once


NUMBERS, GRAPHS, COPIES, TRAINING = "Precision and memory", "Graphs", "State and copies", "Training"

FEATURES = {
    "float32": Feature(NUMBERS, "float32", "forward and backward", checks.in_precision(torch.float32, 1e-4)),
    "float64": Feature(NUMBERS, "float64", "`.double()`, with full precision", checks.double),
    "bfloat16": Feature(NUMBERS, "bfloat16", "`.bfloat16()`", checks.in_precision(torch.bfloat16, 0.06)),
    "float16": Feature(NUMBERS, "float16", "`.half()`", checks.in_precision(torch.float16, 0.01)),
    "autocast": Feature(NUMBERS, "autocast", "to bfloat16, forward and backward", checks.autocast),
    "channels_last": Feature(NUMBERS, "channels_last", "kept from input to output", checks.channels_last),
    "compile": Feature(
        GRAPHS,
        "torch.compile",
        "`fullgraph=True`, forward and backward, in training and in evaluation; networks of fields by inductor, in "
        "evaluation without gradients, the rest by its tracer alone",
        graphs.compiled,
    ),
    "export": Feature(GRAPHS, "torch.export", "strict, in evaluation, for every batch", graphs.traced_in_evaluation),
    "export-training": Feature(
        GRAPHS, "torch.export, training", "the same in training, statistics included", graphs.traced_in_training
    ),
    "onnx": Feature(
        GRAPHS,
        "ONNX",
        "`torch.onnx.export(dynamo=True)`, for every batch, by ONNX Runtime",
        graphs.exported_to_onnx,
    ),
    "plain": Feature(GRAPHS, "equiconv.export", "a plain module, equal to 1e-6, for every batch", graphs.plain),
    "int8": Feature(GRAPHS, "int8", "torchao's PT2E on what `equiconv.export` returns", graphs.in_eight_bits),
    "func": Feature(GRAPHS, "torch.func", "`vmap` of `functional_call` over networks and inputs", checks.functional),
    "meta": Feature(COPIES, "meta device", "made without memory, filled later", checks.meta),
    "deepcopy": Feature(COPIES, "deepcopy", "shares nothing with the original", checks.deepcopy),
    "pickle": Feature(COPIES, "pickle", "of the whole module, by `torch.save` too", checks.pickled),
    "state_dict": Feature(
        COPIES,
        "state_dict",
        "the same keys in both modes; loads with `weights_only=True`",
        checks.one_state,
    ),
    "save": Feature(
        COPIES, "save, load", "`equiconv.save` and `equiconv.load`: one file, and nothing else", checks.saved
    ),
    "spawn": Feature(COPIES, "spawn", "sent to a process that was spawned"),
    "ddp": Feature(TRAINING, "DDP", "`DistributedDataParallel`, two processes"),
    "fsdp": Feature(TRAINING, "FSDP2", "`fully_shard`, two processes"),
    "syncbn": Feature(TRAINING, "SyncBN", "`synchronize_batch_norms`, two processes with batches of different size"),
    "averages": Feature(TRAINING, "EMA, SWA", "`torch.optim.swa_utils`, used while they change", checks.averaged),
}

ALONE = [name for name, feature in FEATURES.items() if feature.check is not None]


def measured() -> Outcomes:
    """Return what comes of every feature with every case."""
    cases = list(CASES.values())
    together = processes.in_two_processes() | {("spawn", name): it for name, it in processes.spawned(cases).items()}
    return {
        case.name: {
            name: together[name, case.name] if feature.check is None else outcome(feature.check, case)
            for name, feature in FEATURES.items()
        }
        for case in cases
    }
