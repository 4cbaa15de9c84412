"""How wide a converted network is: channels that have to stay equal, and the scale that keeps a total."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence


class Piece:
    """Stand for a run of channels of the original whose number of fields is still open.

    Args:
        size: the channels of the original.
        multiple: what the number of fields has to be a multiple of.
        scaled: give it the scale of the network; else it keeps its size.
    """

    def __init__(self, size: int, *, multiple: int = 1, scaled: bool = True) -> None:
        self.size, self.multiple, self.scaled = size, multiple, scaled
        self.fixed = False
        self.parts: tuple[Piece, ...] = ()  # what stands for it, once it is split or tied

    def split(self, size: int) -> None:
        """Split it into a piece of so many channels, and one of the others."""
        self.parts = tuple(Piece(each, multiple=self.multiple, scaled=self.scaled) for each in (size, self.size - size))
        for part in self.parts:
            part.fixed = self.fixed

    def tie(self, other: "Piece") -> None:
        """Let another piece of the same size stand for it."""
        other.multiple = math.lcm(self.multiple, other.multiple)
        other.scaled, other.fixed = self.scaled or other.scaled, self.fixed or other.fixed
        self.parts = (other,)


Pieces = tuple[Piece, ...]


def open_pieces(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces that stand for these in the end."""
    found: list[Piece] = []
    for piece in pieces:
        found.extend(open_pieces(piece.parts) if piece.parts else [piece])
    return found


def size_of(pieces: Iterable[Piece]) -> int:
    """Return the channels of the original."""
    return sum(piece.size for piece in pieces)


def tie(some: Pieces, others: Pieces) -> None:
    """Let two runs of as many channels have as many fields, part by part."""
    left, right = deque(some), deque(others)
    while left and right:
        a, b = left.popleft(), right.popleft()
        if a.parts or b.parts:
            left.extendleft(reversed(a.parts or (a,)))
            right.extendleft(reversed(b.parts or (b,)))
        elif a.size == b.size:
            if a is not b:
                a.tie(b)
        else:
            (a if a.size > b.size else b).split(min(a.size, b.size))
            left.appendleft(a)
            right.appendleft(b)


def cut(pieces: Pieces, sizes: Sequence[int]) -> list[Pieces]:
    """Return runs of so many channels each, one after the other."""
    runs = [Piece(size) for size in sizes]
    tie(tuple(runs), pieces)
    return [(run,) for run in runs]


def fix(pieces: Iterable[Piece]) -> None:
    """Keep the channels of the original."""
    for piece in open_pieces(pieces):
        piece.fixed = True


def divide(pieces: Iterable[Piece], count: int) -> None:
    """Make every number of fields a multiple of ``count``."""
    for piece in open_pieces(pieces):
        piece.multiple = math.lcm(piece.multiple, count)


class Widths:
    """Count the fields of pieces, for a scale of the network.

    Args:
        scale: the number of fields for a channel, before rounding; 1 keeps all channels.
        more: pieces that are rounded to one more.
    """

    def __init__(self, scale: float, more: frozenset[Piece] = frozenset()) -> None:
        self.scale, self.more = scale, more

    def __call__(self, pieces: Iterable[Piece]) -> int:
        """Return the number of fields."""
        return sum(map(self._of, open_pieces(pieces)))

    def reached(self, pieces: Iterable[Piece]) -> float:
        """Return the number of fields for a channel, of those pieces that are scaled."""
        scaled = [piece for piece in dict.fromkeys(open_pieces(pieces)) if piece.scaled and not piece.fixed]
        return self(scaled) / size_of(scaled) if scaled else 1.0

    def _of(self, piece: Piece) -> int:
        single = piece.size == piece.multiple == 1  # which is repeated for others in sums and products
        if self.scale == 1 or piece.fixed or not piece.scaled or single:
            return piece.size
        rounded = max(1, round(self.scale * piece.size / piece.multiple))
        return piece.multiple * (rounded + (piece in self.more))


Total = Callable[[Widths], int]


def best_widths(pieces: Iterable[Piece], total: Total, target: int) -> Widths:
    """Return the widths with which a total, growing with them, is as close as possible to the target.

    All pieces have one scale, the largest with which the total is below the target. What is then missing is filled by
    rounding some of them to one more, first those that add most.
    """
    low, high = 0.0, 1.0
    for _ in range(10):
        if total(Widths(high)) < target:
            low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if total(Widths(middle)) < target else (low, middle)
    filled = _filled(list(dict.fromkeys(open_pieces(pieces))), total, target, low)
    tries = [Widths(1.0), *filled, Widths(high)]
    return min(tries, key=lambda widths: abs(total(widths) - target))


def _filled(pieces: list[Piece], total: Total, target: int, scale: float) -> list[Widths]:
    """Return widths with as many pieces rounded to one more as fit, and those with another one."""
    added = {piece: total(Widths(scale, frozenset([piece]))) for piece in pieces}
    chosen: frozenset[Piece] = frozenset()
    for piece in sorted(pieces, key=added.__getitem__, reverse=True):
        if total(Widths(scale, chosen | {piece})) <= target:
            chosen |= {piece}
    return [Widths(scale, chosen), *(Widths(scale, chosen | {piece}) for piece in pieces if piece not in chosen)]
