"""Every layer computes the same once it is exported, for any number of images."""

import pickle

import pytest
import torch
from samples import CONVOLUTIONS, LAYERS, SHAPES
from torch import nn

from equiconv.exporting import export
from equiconv.groups import P4, HueShift

GROUP = HueShift(4) * P4()
MODULES = CONVOLUTIONS | LAYERS


@pytest.mark.parametrize("name", MODULES)
def test_every_layer(name):
    module = MODULES[name](GROUP).double()
    x = torch.randn(2, *module.in_type.shape, *SHAPES.get(name, (8, 7)), dtype=torch.float64)
    module(x * 2 + 1)  # a batch norm has seen something
    plain = export(module.eval(), x)
    for batch in (1, 3):
        y = torch.randn(batch, *x.shape[1:], dtype=torch.float64)
        expected = module(y)
        assert (plain(y) - expected).abs().max() < 1e-12 * expected.abs().max()
        assert (
            plain(y + 1e-9 * torch.randn_like(y)) - expected
        ).abs().max() > 1e-12 * expected.abs().max()  # the comparison sees that
    assert b"equiconv" not in pickle.dumps(plain)
    if name in CONVOLUTIONS and name != "fourier":
        assert any(isinstance(part, nn.Conv2d | nn.ConvTranspose2d) for part in plain.modules())
