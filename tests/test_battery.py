"""Every layer on every group, in training and evaluation, in several precisions."""

import copy

import pytest
import torch
from samples import CONVOLUTIONS, GRID, LAYERS, SHAPES, SOME, trained_cnn

from equiconv.groups import P4, HueShift
from equiconv.testing import assert_equivariant

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 0.2}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("group", GRID, ids=repr)
def test_convolution(group, name):
    if name == "invariant to group" and group.order > 12:
        pytest.skip("shown on the smaller groups")
    assert_equivariant(CONVOLUTIONS[name](group), size=SHAPES.get(name, (8, 7)))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("group", GRID, ids=repr)
def test_layer_in_training_and_evaluation(group, name):
    layer = LAYERS[name](group)
    assert_equivariant(layer.train(), size=SHAPES.get(name, (8, 7)))
    assert_equivariant(layer.eval(), size=SHAPES.get(name, (8, 7)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", [*CONVOLUTIONS, *LAYERS])
@pytest.mark.parametrize("group", SOME, ids=repr)
def test_precision(group, name, dtype):
    module = (CONVOLUTIONS | LAYERS)[name](group)
    assert_equivariant(module, size=SHAPES.get(name, (8, 7)), dtype=dtype, tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("group", GRID, ids=repr)
def test_network_after_training_on_one_orientation(group):
    assert_equivariant(trained_cnn(group), size=(14, 18))


@pytest.mark.parametrize("group", SOME, ids=repr)
def test_network_after_a_state_dict_round_trip(group):
    net = trained_cnn(group)
    torch.manual_seed(1)
    fresh = type(net)(group, 2, classes=3, kernel_sizes=(3, 3, 3), dropout=0.2).eval()
    fresh.load_state_dict(copy.deepcopy(net.state_dict()))
    images = torch.randn(2, 3, 14, 14)
    assert torch.equal(fresh(images), net(images))
    assert_equivariant(fresh, size=(14, 18))


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *LAYERS])
@pytest.mark.parametrize("group", [HueShift(4) * P4()], ids=repr)
def test_compiled_is_one_graph_and_equal(group, name):
    module = (CONVOLUTIONS | LAYERS)[name](group).train("norm" in name).double()
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, *module.in_type.shape, *SHAPES.get(name, (8, 7)), dtype=torch.float64, requires_grad=True)
    y, z = compiled(x), module(x)
    torch.testing.assert_close(y, z)
    grads = [torch.autograd.grad(out.square().sum(), x)[0] for out in (y, z)]
    torch.testing.assert_close(*grads)
