"""
Out of the library: plain PyTorch, and ONNX
===========================================

A trained network is written as ordinary convolutions, then as a file of ONNX. The answers stay the same; what makes
the kernels is gone.
"""

import tempfile
from collections import Counter
from pathlib import Path

import onnxruntime
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_image
from torch.nn.functional import interpolate

from equiconv import export
from equiconv.groups import P4, HueShift
from equiconv.models import CNN

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
tiles = photo[:, :392].unfold(1, 56, 56).unfold(2, 56, 56)  # (3, 7, 11, 56, 56)
tiles = tiles.flatten(1, 2).movedim(0, 1)[[2, 16, 27, 38, 49, 52, 61, 71]]
images = interpolate(tiles, (14, 14), mode="bilinear", antialias=True)

# %%
# The network
# -----------
# On hues and turns. A few images in training give its batch norms something to hold.

torch.manual_seed(0)
net = CNN(HueShift(3) * P4(), 4, kernel_sizes=(3, 3, 3, 3))
net.train()(images)
net.eval()

# %%
# Plain PyTorch
# -------------
# Kernels are expanded, batch norms are folded into them. What is left are modules of ``torch.nn``, and the result can
# be saved and loaded where equiconv is not installed.

plain = export(net, images)
print(Counter(type(part).__module__ for part in plain.modules() if not list(part.children())))

# %%
# ONNX
# ----
# Two files: of the network itself, which makes its kernels whenever it runs, and of the exported one.

folder = Path(tempfile.mkdtemp())
operators = {}
for name, module in {"equiconv": net, "exported": plain}.items():
    program = torch.onnx.export(module, (images,), dynamo=True, dynamic_shapes=({0: "batch"},), verbose=False)
    program.save(folder / f"{name}.onnx")
    operators[name] = Counter(node.op_type for node in program.model.graph)

kinds = [kind for kind, _ in sum(operators.values(), Counter()).most_common()][::-1]
figure, ax = plt.subplots(figsize=(7, 0.6 + 0.24 * len(kinds)), layout="constrained")
for offset, (name, count) in enumerate(operators.items()):
    height = [i + 0.2 - 0.4 * offset for i in range(len(kinds))]
    ax.barh(height, [count[kind] for kind in kinds], 0.4, label=f"{name}: {count.total()}")
ax.set_yticks(range(len(kinds)), kinds)
ax.set(xlabel="operators in the file")
ax.xaxis.get_major_locator().set_params(integer=True)
ax.legend(loc="lower right", frameon=False)

# %%
# The same answers
# ----------------
# The logits of eight images, less their mean, in all four ways: four curves, each thinner than the one below it.

session = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in operators}
with torch.no_grad():
    answers = {"equiconv": net(images), "exported": plain(images)}
for name, run in session.items():
    (logits,) = run.run(None, {run.get_inputs()[0].name: images.numpy()})
    answers[f"{name}, ONNX"] = torch.tensor(logits)

figure, axes = plt.subplots(2, 8, figsize=(9, 2.8), layout="constrained", sharey="row")
for k, (above, below) in enumerate(axes.T):
    above.imshow(images[k].movedim(0, -1))
    above.axis("off")
    for width, (name, logits) in zip((6, 4, 2.5, 1), answers.items(), strict=True):
        below.plot(logits[k] - logits.mean(0), linewidth=width, label=name)
    below.set(xticks=[], yticks=[])
legend = below.get_legend_handles_labels()
figure.legend(*legend, loc="outside lower center", ncols=4, frameon=False)
for name, logits in answers.items():
    print(f"{name:15} largest difference {(logits - answers['equiconv']).abs().max():.1g}")

# %%
# :doc:`Export </exporting>` has the rest: sizes that vary, eight bits, and training on without the constraint.
