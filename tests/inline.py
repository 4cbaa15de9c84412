"""An engine without processes."""

from benchmarks.engines import Done, Local
from benchmarks.engines.engine import failure


class Inline(Local):
    """An engine that runs cells in this process."""

    def run(self, cells, work, tell):
        for index, cell in cells.items():
            try:
                tell(Done(index, work(cell, lambda _: None)))
            except Exception as error:
                tell(failure(index, error))
