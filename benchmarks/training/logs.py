"""Where the numbers of a training run are written."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.files import write_text
from equiconv import EquiconvError

__all__ = ["LOGS", "CSVLog", "Log", "LogFolder", "TensorBoardLog", "WandbLog"]

History = Sequence[Mapping[str, float]]


class Log(ABC):
    """Write the numbers of a run."""

    @abstractmethod
    def write(self, history: History) -> None:
        """Write the numbers of all epochs so far; the last one is new."""

    def close(self) -> None:
        """Let go of what is open, at the end of the run."""
        return


@dataclass(frozen=True)
class CSVLog(Log):
    """Write a table, one line an epoch; the file is replaced as a whole.

    Args:
        path: the file.
    """

    path: Path

    def write(self, history: History) -> None:
        """Write the table."""
        columns = dict.fromkeys(key for epoch in history for key in epoch)
        text = io.StringIO()
        table = csv.DictWriter(text, ["epoch", *columns], lineterminator="\n")
        table.writeheader()
        table.writerows({"epoch": number, **epoch} for number, epoch in enumerate(history, 1))
        write_text(self.path, text.getvalue())


class TensorBoardLog(Log):
    """Write events for TensorBoard.

    Args:
        folder: of the events.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def write(self, history: History) -> None:
        """Write the new numbers; what an earlier process wrote beyond them is dropped."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(str(self.folder), purge_step=len(history))
        for name, value in history[-1].items():
            self._writer.add_scalar(name, value, len(history))
        self._writer.flush()

    def close(self) -> None:
        """Close the file of events."""
        if self._writer is not None:
            self._writer.close()


class WandbLog(Log):
    """Send the numbers to Weights & Biases.

    Args:
        project: its name there.
        run: the identity of the run, under which it is resumed.

    Raises:
        EquiconvError: if wandb is not installed.
    """

    def __init__(self, project: str, run: str) -> None:
        self._run = _wandb().init(project=project, id=run, resume="allow")

    def write(self, history: History) -> None:
        """Send the new numbers."""
        self._run.log(dict(history[-1]), step=len(history))

    def close(self) -> None:
        """End the run there; the next one of this process would else be written into it."""
        self._run.finish()


def _wandb() -> Any:
    try:
        import wandb
    except ImportError:
        raise EquiconvError("logging to Weights & Biases needs wandb: pip install wandb") from None
    return wandb


LOGS = ("tensorboard", "wandb")


@dataclass(frozen=True)
class LogFolder:
    """Say where the numbers of each epoch of many runs are written.

    Args:
        path: the folder, which gets a table of each run.
        kinds: what else is wanted, some of ``LOGS``.

    Raises:
        EquiconvError: if what a log needs is not installed.
    """

    path: Path
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "wandb" in self.kinds:
            _wandb()

    @contextmanager
    def opened(self, project: str, run: str) -> Iterator[tuple[Log, ...]]:
        """Enter the context in which the logs of a run are open.

        Args:
            project: its name at Weights & Biases.
            run: the name of the run, fit for a file.
        """
        logs: list[Log] = [CSVLog(self.path / f"{run}.csv")]
        if "tensorboard" in self.kinds:
            logs.append(TensorBoardLog(self.path / run))
        if "wandb" in self.kinds:
            logs.append(WandbLog(project, run))
        try:
            yield tuple(logs)
        finally:
            for log in logs:
                log.close()
