"""The public weights of YAMNet to the form that `distill.load_teacher` reads.

    python scripts/convert_yamnet.py yamnet.h5 FOLDER

Takes `yamnet.h5` (github.com/tensorflow/models, research/audioset/yamnet says where it is) and files of its first
layers with the same names. Batch normalisation is folded into kernels and biases. Nothing in the file is run.
"""

import argparse
import json
import re
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import save_file

from trill import files

EPSILON = 1e-4  # research/audioset/yamnet/params.py
LAYER = re.compile(r"layer(\d+)/(conv|depthwise_conv|pointwise_conv)(/bn)?/(\w+):0$")
CLASSIFIER = re.compile(r"dense[^/]*/(kernel|bias):0$")
NAMES = {27: "yamnet_float", 11: "yamnet_float_layers1to11"}


def read(path: Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Kernel and statistics of each convolution, kernel and bias of the classifier."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    classifier: dict[str, np.ndarray] = {}

    def visit(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if found := LAYER.search(name):
            index, kind, _, weight = found.groups()
            # Convolutions counted one by one: the stem, then depthwise and pointwise in turn.
            count = 1 if kind == "conv" else 2 * int(index) - (2 if kind == "depthwise_conv" else 1)
            layers.setdefault(f"layer{count:02d}_{kind.removesuffix('_conv')}", {})[weight] = item[()]
        elif found := CLASSIFIER.search(name):
            classifier[found[1]] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return layers, classifier


def fold(layer: dict[str, np.ndarray], depthwise: bool) -> dict[str, np.ndarray]:
    """Kernel and bias of a convolution and the batch normalisation behind it."""
    scale = 1 / np.sqrt(layer["moving_variance"].astype(np.float64) + EPSILON)
    kernel = layer["depthwise_kernel"][..., 0] if depthwise else layer["kernel"]
    bias = layer["beta"] - layer["moving_mean"] * scale
    return {"kernel": (kernel * scale).astype(np.float32), "bias": bias.astype(np.float32)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="yamnet.h5")
    parser.add_argument("folder", type=Path, help="to be made")
    args = parser.parse_args()
    layers, classifier = read(args.weights)
    if len(layers) not in NAMES:
        parser.error(f"YAMNet has {' or '.join(map(str, NAMES))} convolutions, {args.weights} has {len(layers)}.")
    tensors = {
        f"{name}.{weight}": np.ascontiguousarray(value)
        for name, layer in layers.items()
        for weight, value in fold(layer, name.endswith("depthwise")).items()
    }
    if len(layers) == max(NAMES):
        tensors |= {f"layer29_fc.{weight}": value for weight, value in classifier.items()}
    args.folder.mkdir(parents=True, exist_ok=True)
    with files.write_atomically(args.folder / "model.safetensors") as temporary:
        save_file(tensors, temporary)
    with files.write_atomically(args.folder / "config.json") as temporary:
        temporary.write_text(json.dumps({"name": NAMES[len(layers)]}))
    print(f"{args.folder}: {NAMES[len(layers)]}, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
