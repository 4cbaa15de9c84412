"""Results of a study, made by hand: a table and a sweep."""

import copy

__all__ = ["PROVENANCE", "SWEEP", "TABLE", "changed", "results", "row"]

PROVENANCE = {
    "equiconv": "0.1.0",
    "commit": "a" * 40,
    "python": "3.11.7",
    "versions": {"torch": "2.13.0+cpu"},
    "platform": "Linux x86_64",
    "cpu": "a processor",
    "cores": 2,
}
RECIPE = {"epochs": 3, "batch_size": 256, "optimizer": "adam", "momentum": 0.9, "schedule": "step", "every": 2}
RECIPE |= {"gamma": 0.1, "lowest": 1e-5, "learning_rate": 0.01, "weight_decay": 1e-5}


def row(name, seeds, error=None, std=None, **other):
    """Return a row of the results."""
    made = {"name": name, "line": name, "value": None, "model": "cnn", "group": "P4", "options": {"width": 10}}
    made |= {"recipe": {}, "augment": {}, "samples": None, "seeds": seeds, "error": error, "std": std, "published": {}}
    return made | {"parameters": 24810, "macs": 11674000, "peak_memory": 2**20} | other


def results(rows, **other):
    """Return the results of a study with some rows."""
    cells = [
        {"group": each["name"], "seed": seed, "error": {"test": each["error"] / 100}, "losses": [1.0, 0.3, 0.01 * seed]}
        | {"curves": {}, "confusion": None}
        for each in rows
        for seed in range(1, each["seeds"] + 1)
    ]
    data = {"name": "rotmnist", "description": "Turned digits.", "classes": list("0123456789"), "size": 28}
    data |= {
        "train": 12000,
        "test": 50000,
        "guessing_error": 0.888,
        "fingerprint": "c15c",
        "train_by_class": [1200] * 10,
    }
    made = {"study": "turned", "title": "Turned digits", "published_by": "Somebody, 5 seeds", "quick": False}
    made |= {
        "part": "test",
        "sweep": None,
        "data": data,
        "more_data": [],
        "recipe": RECIPE,
        "selection": "none: tested once",
    }
    runs = [{"command": "python -m benchmarks study turned", "provenance": PROVENANCE}]
    return made | {"rows": rows, "failures": [], "cells": cells, "runs": runs} | other


TABLE = results(
    [
        row("Z2CNN", 2, 5.22, 0.05, group="Trivial", published={"error": 5.20, "parameters": 24810, "macs": 11.67e6}),
        row("P4CNN", 2, 2.31, 0.02, published={"error": 2.23}, parameters=24000),
        row("gc-P4CNN", 2, 1.70, 0.10, published={"error": 1.74, "parameters": 25000, "macs": 9e6}),
        row("one seed", 1, 3.00, published={"error": 3.50}, recipe={"learning_rate": 0.5}),
        row("untold", 2, 1.60, 0.20, group="P4M", parameters=8910, augment={"rotate": 180}),
        row("undone", 0, published={"error": 9.99}),
    ]
)
SWEEP = results(
    [
        row(f"{line}, {width}", 2, error / width**0.5, 0.1, line=line, value=width, parameters=100 * width**2)
        for line, error in (("Z2CNN", 20), ("P4CNN", 9))
        for width in (5, 10, 20)
    ],
    sweep={"name": "width", "title": "Error against parameters", "varies": "width", "axis": "parameters"},
)


def changed(content, **other):
    """Return a copy of results with other entries."""
    return copy.deepcopy(content) | other
