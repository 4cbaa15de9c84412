"""
Built in, or taught by a loss
=============================

Invariance can be built into the layers. It can also be shown to an ordinary network, by turned copies of the training
images, or taught by a loss that compares the features of an image with those of the turned image. What comes of each?
"""

# sphinx_gallery_thumbnail_number = 1

import json
from pathlib import Path

from matplotlib import pyplot as plt

# %%
# The numbers are those of the study ``ien-compared``, in the folder ``docs/results`` (:doc:`/benchmarks`): turned
# digits, about 25,000 parameters each, the test error after training. A network that computes more in each step is
# compared at equal cost, too: the others have more epochs then.

report = json.loads(Path("../results/ien-compared.json").read_text())
rows = {row["name"]: row for row in report["rows"]}
kinds = {
    "ordinary": ["ordinary", "ordinary x4 epochs"],
    "shown turned copies": ["shown", "shown x2 epochs"],
    "taught by a loss": ["taught", "taught x2 epochs"],
    "built in: P4": ["built in"],
    "built in, and taught Cyclic(8)": ["both half the epochs", "both"],
}
figure, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
for label, names in kinds.items():
    macs = [rows[name]["training_macs"] / 1e6 for name in names]
    ax.plot(macs, [rows[name]["error"] for name in names], marker="o", label=label)
ax.set(xlabel="multiplications of the training, millions for each image")
ax.set(ylabel="test error (%)", ylim=(0, None))
figure.legend(loc="outside right upper", frameon=False)

# %%
# The error of equivariance of one layer, ``features.15``, while it is trained: 0 is the law, and 1 is about what
# random networks have. Of four channels only the largest number counts, so that the four may change places.

figure, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
for label, names in kinds.items():
    cell = next(cell for cell in report["cells"] if cell["group"] == names[0])
    errors = cell["watched"]["features.15"]
    ax.plot(range(1, len(errors) + 1), errors, marker=".", label=label)
ax.set(xlabel="epoch", ylabel="error of equivariance", ylim=(-0.05, 1.15))
figure.legend(loc="outside right upper", frameon=False)

# %%
# The loss brings the error down, but not to zero, and an equivariant layer starts at zero and stays. At equal cost
# the built-in symmetry has fewer errors than all that an ordinary network was shown or taught. A loss is for networks
# that cannot be built anew, and for symmetries that no layer has; :doc:`how it is used </implicit>` is on a page of
# its own.
#
# How many seeds were trained is told below: with one or two, a difference of some tenths of a percent says nothing.

for name, row in rows.items():
    print(f"{name:22} {row['error']:5.2f} %   seeds: {row['seeds']}")
