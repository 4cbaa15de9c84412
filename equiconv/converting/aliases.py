"""What is done in place in the original, and which of its tensors share their memory."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors(each)


def overlap(some: Any, others: Any) -> bool:
    """Tell whether changing one value in place changes the other."""
    return any(a.untyped_storage()._cdata == b.untyped_storage()._cdata for a in tensors(some) for b in tensors(others))


def used_later(node: fx.Node) -> bool:
    """Tell whether what a node changes in place is used afterwards, by itself or as another view of the memory."""
    places = {each: place for place, each in enumerate(node.graph.nodes)}
    changed = [source.meta["value"] for source in node.all_input_nodes[:1]]
    known = [each for each in places if places[each] < places[node] and overlap(each.meta["value"], changed)]
    later = {user for each in known for user in each.users if places[user] > places[node]}
    return any(any(True for _ in tensors(user.meta["value"])) for user in later)  # others read sizes
