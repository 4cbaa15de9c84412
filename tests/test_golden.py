"""The layers of the predecessors, reproduced from their weights (their licenses are not needed for numbers)."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from equiconv.groups import P4, P4M, HueShift, Trivial
from equiconv.layers import GroupConv2d

GOLDEN = np.load(Path(__file__).parent / "golden" / "predecessors.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN.files})


def load(case):
    """Return the input, output, parameters and what made them."""
    names = [key.split("param.")[1] for key in GOLDEN.files if key.startswith(f"{case}/param.")]
    parameters = {name: torch.from_numpy(GOLDEN[f"{case}/param.{name}"]) for name in names}
    tensors = [torch.from_numpy(GOLDEN[f"{case}/{key}"]) for key in ("input", "output")]
    return *tensors, parameters, ast.literal_eval(str(GOLDEN[f"{case}/meta"]))


def layer_for(case, parameters, meta):
    """Return the layer with the weights of the case."""
    name, args, options = meta["cls"], meta["args"], dict(meta["kwargs"])
    options.pop("separable", None)
    if name == "CEConv2d":
        steps, _, fields_in, fields_out, size = args
        group = HueShift(max(args[:2]))
        source = group.image if steps == 1 else fields_in * group.regular
    else:
        group, (fields_in, fields_out, size) = (P4M() if "P4M" in name else P4()), args
        source = fields_in * (group.trivial if name.endswith("Z2") else group.regular)
    pointwise = parameters.get("pointwise_weight")
    spatial = parameters.get("depthwise_weight", parameters.get("weight"))
    factorization = None if pointwise is None else "gc" if name.startswith("gc") else "g"
    conv = GroupConv2d(source, fields_out * group.regular, size, factorization=factorization, **options)
    with torch.no_grad():
        conv.bias.copy_(parameters["bias"].view_as(conv.bias))
        if pointwise is None:
            conv.weight.copy_(parameters["weight"].reshape(conv.weight.shape))
        else:
            conv.pointwise.copy_(pointwise.reshape(conv.pointwise.shape))
            conv.spatial.copy_(spatial.reshape(conv.spatial.shape))
    return conv


@pytest.mark.parametrize("case", CASES)
def test_reproduced(case):
    x, expected, parameters, meta = load(case)
    conv = layer_for(case, parameters, meta)
    torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_not_reproduced_by_other_weights_or_input(case):
    x, expected, parameters, meta = load(case)
    conv = layer_for(case, parameters, meta)
    assert (conv(x.flip(-1)) - expected).abs().max() > 0.01
    main = conv.weight if conv.factorization is None else conv.pointwise
    with torch.no_grad():
        main.copy_(main.flip(2))  # the color axis, the group axis, or for P4 from one channel nothing but the pixels
    if conv.in_type.fiber > 1:
        assert (conv(x) - expected).abs().max() > 0.01


def test_the_matrix_of_hue_shifts():
    matrix = GOLDEN["ceconv_lift_r3/param.transformation_matrix"]
    np.testing.assert_allclose(HueShift(3).color[1], matrix, atol=1e-6)
    assert not np.allclose(HueShift(3).color[2], matrix, atol=0.1)


def test_trivial_group_is_the_ordinary_convolution():
    conv = GroupConv2d(3 * Trivial().trivial, 5 * Trivial().regular, (3, 2), stride=2, padding=(1, 2), dilation=(1, 2))
    x = torch.randn(2, 3, 11, 8)
    plain = torch.nn.functional.conv2d(
        x, conv.weight.view(5, 3, 3, 2), conv.bias.flatten(), stride=2, padding=(1, 2), dilation=(1, 2)
    )
    torch.testing.assert_close(conv(x)[:, :, 0], plain)
