"""The checks that take the graph of a module."""

import copy
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from torch import Tensor, nn

import equiconv
from support.cases import Case
from support.compare import Limit, NotApplicable, close

__all__ = ["compiled", "exported_to_onnx", "in_eight_bits", "plain", "traced_in_evaluation", "traced_in_training"]

NETWORKS = {"CNN", "SteerableCNN", "ResNet", "WideResNet"}  # for each layer inductor would take minutes in all


def _results(module: nn.Module, x: Tensor, gradients: bool) -> list[Tensor]:
    """Return the output, and the gradients of input and parameters if they are asked for."""
    torch.manual_seed(2)  # of dropout
    if not gradients:
        with torch.no_grad():
            return [module(x)]
    x = x.clone().requires_grad_()
    y = module(x)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])]


def compiled(case: Case) -> None:
    """One graph, in training and in evaluation, which computes the same with the same gradients.

    Inductor makes two graphs where there are gradients, and takes long; in evaluation it makes the one that is used.
    """
    module = case.module()
    x = case.inputs(module)
    thorough = case.name in NETWORKS
    backend = "inductor" if thorough else "aot_eager"
    for training in (False, True):
        torch.compiler.reset()
        one, other = (copy.deepcopy(module).train(training) for _ in range(2))
        graph = torch.compile(one, fullgraph=True, backend=backend)
        gradients = training or not thorough
        for y, expected in zip(_results(graph, x, gradients), _results(other, x, gradients), strict=True):
            torch.testing.assert_close(y, expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(one.state_dict(), other.state_dict())


def _program(module: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=True)


def traced_in_evaluation(case: Case) -> None:
    """The program serves batches of other sizes."""
    module = case.module()
    program = _program(module, case.inputs(module))
    more = case.inputs(module, batch=5)
    close(program.module()(more), module(more), 1e-5)


def traced_in_training(case: Case) -> None:
    """The program computes what the module does in training, and updates statistics as it does."""
    module = case.module().train()
    x = case.inputs(module, batch=3)
    program = _program(copy.deepcopy(module), x).module()
    torch.manual_seed(2)
    y = program(x)
    torch.manual_seed(2)
    close(y, module(x), 1e-5)
    torch.testing.assert_close(dict(program.state_dict()), module.state_dict(), check_stride=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore what other libraries warn each other of: a context."""
    with catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        simplefilter("ignore")
        yield


class _Part(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.inner(x)


def exported_to_onnx(case: Case) -> None:
    """ONNX Runtime agrees to 1e-4, on a batch of another size.

    The module is part of a network: the exporter makes an invalid model of one that returns its input as it is.
    """
    import onnxruntime  # only here

    module = _Part(case.module())
    with _quiet():
        program = torch.onnx.export(
            module,
            (case.inputs(module.inner),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["x"],
        )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options)
    more = case.inputs(module.inner, batch=5)
    (y,) = session.run(None, {"x": np.asarray(more)})
    close(torch.from_numpy(y), module(more), 1e-4)


def plain(case: Case) -> None:
    """``equiconv.export`` returns a module without a part of equiconv, which serves batches of other sizes."""
    module = case.module()
    exported = equiconv.export(module, case.inputs(module))
    assert not any(type(part).__module__.startswith("equiconv") for part in exported.modules())
    more = case.inputs(module, batch=5)
    close(exported(more), module(more), 1e-6)


def in_eight_bits(case: Case) -> None:
    """What ``equiconv.export`` returns is quantized by torchao, and stays near what it was."""
    torch.manual_seed(0)
    module = case.make().eval()  # as it begins: rounding shows wherever a layer jumps, as thresholds below zero do
    x = case.inputs(module, batch=16)
    exported = equiconv.export(module, x)
    if not any(isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) for part in exported.modules()):
        raise NotApplicable("has no kernels")
    with _quiet():
        small = _quantized(exported, x)
    if not any("quantize_per_tensor" in str(node.target) for node in small.graph.nodes):
        raise Limit("torchao's quantizer leaves it in single precision")
    close(small(x), module(x), 0.1)


def _quantized(module: nn.Module, x: Tensor) -> torch.fx.GraphModule:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # slow to import
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    graph = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    try:
        prepared = prepare_pt2e(graph, quantizer)
    except ValueError as error:
        if "partition has more than one output node" not in str(error):
            raise
        raise Limit("torchao's quantizer takes no convolution whose input or output is used several times") from error
    prepared(x)
    return convert_pt2e(prepared)
