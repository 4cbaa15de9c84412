"""
Speed against the number of hues
================================

A group of order *n* makes a layer with *n* times as many channels, and the convolution between them takes *n* squared
times as many multiplications. The Fourier basis of the group takes a good part of that back.
"""

import json
from pathlib import Path

from matplotlib import pyplot as plt

# %%
# Nothing is timed here. The numbers are those of ``make speed``, in the folder ``docs/results`` (:doc:`/benchmarks`),
# with the machine and the versions that they were measured on.

report = json.loads(Path("../results/sweeps.json").read_text())
rows = [row for row in report["rows"] if row["sweep"] == "order"]
measured = report["provenance"]
print(measured["cpu"], "| torch", measured["versions"]["torch"], "|", report["dtype"])
print(rows[0]["name"], "at", "x".join(map(str, rows[0]["input"])))

# %%
# One layer, 32 fields in and 32 fields out, forward and backward. The ordinary convolution of the same shape does not
# know that its kernels are moved copies of each other. As one dense convolution the layer takes as long. In the
# Fourier basis it gains nothing with two hues, and is several times as fast with twelve.

orders = [row["value"] for row in rows]
images = rows[0]["input"][0]
names = {"nn.Conv2d": "nn.Conv2d, same shape", "dense": "dense", "fourier": "Fourier basis"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for name, label in names.items():
    milliseconds = [row["milliseconds"][name] / images for row in rows]
    left.plot(orders, milliseconds, marker=".", label=label)
left.set(xlabel="n", ylabel="milliseconds for one image", ylim=(0, None))
left.legend(fontsize=9)

for name, label in (("milliseconds", "time"), ("multiplications", "multiplications")):
    ratios = [row[name]["nn.Conv2d"] / row[name]["fourier"] for row in rows]
    right.plot(orders, ratios, marker=".", label=label)
right.axhline(1, color="gray", linewidth=0.8)
right.set(xlabel="n", ylabel="nn.Conv2d / Fourier basis", ylim=(0, None))
right.legend(fontsize=9)

# %%
# Which way a layer goes it decides by itself, from the size of its input: ``execution="auto"``.

for row in rows:
    print(f"n = {row['value']:2}: {row['auto']}")
