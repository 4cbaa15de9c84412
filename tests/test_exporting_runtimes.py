"""Exported networks run elsewhere: as ONNX, and in eight bits."""

import pytest
import torch

from equiconv.exporting import export
from equiconv.groups import P4, P4M, HueShift
from equiconv.models import CNN

pytestmark = pytest.mark.filterwarnings("ignore")  # torch, onnxscript and torchao warn about each other


def trained(group, **options):
    net = CNN(group, 4, kernel_sizes=(3, 3, 3), **options)
    with torch.no_grad():
        for _ in range(5):
            net(torch.randn(16, 3, 14, 14))
    return net.eval()


def onnx_session(module, x, path):
    onnxruntime = pytest.importorskip("onnxruntime")
    program = torch.onnx.export(module, (x,), dynamo=True, dynamic_shapes=({0: "batch"},), verbose=False)
    program.save(path)
    return onnxruntime.InferenceSession(path), [node.op_type for node in program.model.graph]


@pytest.mark.parametrize("exported", [True, False], ids=["exported", "as it is"])
def test_onnx(exported, tmp_path):
    net = trained(HueShift(3) * P4())
    x = torch.randn(2, 3, 14, 14)
    session, operators = onnx_session(export(net, x) if exported else net, x, tmp_path / "net.onnx")
    for batch in (1, 5):
        y = torch.randn(batch, 3, 14, 14)
        (found,) = session.run(None, {session.get_inputs()[0].name: y.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), net(y), rtol=1e-4, atol=1e-4)
    assert ("BatchNormalization" in operators) != exported
    assert operators.count("Conv") == 3


def test_onnx_of_a_factorized_network(tmp_path):
    net = trained(P4M(), factorization="gc")
    x = torch.randn(2, 3, 14, 14)
    session, operators = onnx_session(export(net, x), x, tmp_path / "net.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: torch.cat([x, x]).numpy()})
    torch.testing.assert_close(torch.from_numpy(found), net(torch.cat([x, x])), rtol=1e-4, atol=1e-4)
    assert operators.count("Conv") <= 5


def test_eight_bits():
    pt2e = pytest.importorskip("torchao.quantization.pt2e.quantize_pt2e")
    x86 = pytest.importorskip("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")
    net = trained(P4())
    plain = export(net, torch.randn(2, 3, 14, 14))
    images = torch.randn(16, 3, 14, 14)
    program = torch.export.export(plain, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = pt2e.prepare_pt2e(program.module(), quantizer)
    with torch.no_grad():
        prepared(images)
        small = pt2e.convert_pt2e(prepared)
        x = torch.randn(7, 3, 14, 14)
        y, expected = small(x), plain(x)
    assert 0 < (y - expected).norm() / expected.norm() < 0.05
    weights = [value for name, value in small.state_dict().items() if value.dtype == torch.int8]
    assert sum(value.numel() for value in weights) >= sum(part.weight.numel() for part in plain.features.children())
