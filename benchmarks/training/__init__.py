"""The training engine: one loop for all studies."""

from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.feed import Feed, Images, Streamed
from benchmarks.training.fit import Task, fit
from benchmarks.training.launch import CPU, Hardware
from benchmarks.training.objective import CrossEntropy, Implicit, Objective
from benchmarks.training.recipe import OPTIMIZERS, SCHEDULES, Recipe

__all__ = [
    "CPU",
    "OPTIMIZERS",
    "SCHEDULES",
    "Checkpoint",
    "CrossEntropy",
    "Feed",
    "Hardware",
    "Images",
    "Implicit",
    "Objective",
    "Recipe",
    "Streamed",
    "Task",
    "fit",
]
