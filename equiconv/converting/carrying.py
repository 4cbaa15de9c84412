"""Carrying weights over to a network on the trivial group, which is the ordinary one."""

import torch
from torch import Tensor, nn

from equiconv.layers import GroupConvTranspose2d


def carry(new: nn.Module, old: nn.Module) -> None:
    """Copy parameters and statistics to a module on the trivial group, of as many fields as there were channels."""
    tensors = {**dict(old.named_parameters()), **dict(old.named_buffers())}
    with torch.no_grad():
        for name, tensor in [*new.named_parameters(), *new.named_buffers()]:
            if name in tensors:
                values = _of_kernel(tensors[name], new) if name == "weight" else tensors[name]
                tensor.copy_(values.reshape(tensor.shape))


def _of_kernel(weight: Tensor, new: nn.Module) -> Tensor:
    """Return the weight of a transposed convolution as of the convolution with the same kernel."""
    if not isinstance(new, GroupConvTranspose2d):
        return weight
    blocks = weight.flip((-2, -1)).unflatten(0, (new.channel_groups, -1))  # (g, i / g, o / g, kh, kw)
    return blocks.transpose(1, 2).flatten(0, 1)  # (o, i / g, kh, kw)
