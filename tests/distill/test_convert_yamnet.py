"""scripts/convert_yamnet.py, on files of random weights in the layout of yamnet.h5."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import load_file

from distill.teachers import yamnet
from distill.teachers.hub import open_checkpoint
from tests.sounds import noise

SCRIPT = Path(__file__).parents[2] / "scripts/convert_yamnet.py"


def make_h5(path, num_blocks, classes=None):
    """As Keras 2 saves weights: groups called as layers, datasets called as variables below them."""
    rng = np.random.default_rng(0)
    made = {}
    channels = (32, *(channels for channels, _ in yamnet.YAMNET_BLOCKS))
    shapes = {"layer1/conv": ("kernel", (3, 3, 1, 32))}
    for block in range(1, num_blocks + 1):
        before, after = channels[block - 1 : block + 1]
        shapes[f"layer{block + 1}/depthwise_conv"] = ("depthwise_kernel", (3, 3, before, 1))
        shapes[f"layer{block + 1}/pointwise_conv"] = ("kernel", (1, 1, before, after))
    with h5py.File(path, "w") as file:
        for layer, (kernel, shape) in shapes.items():
            width = shape[2] if kernel == "depthwise_kernel" else shape[3]
            fan_in = 9 if kernel == "depthwise_kernel" else np.prod(shape[:3])
            values = {
                f"{layer}/{kernel}": rng.normal(0, np.sqrt(2 / fan_in), shape),
                f"{layer}/bn/beta": rng.normal(0, 0.1, width),
                f"{layer}/bn/moving_mean": rng.normal(0, 0.1, width),
                f"{layer}/bn/moving_variance": rng.uniform(0.5, 2, width),
            }
            for name, value in values.items():
                file[f"{name.rpartition('/')[0]}/{name}:0"] = value.astype(np.float32)
                made[name] = value.astype(np.float32)
        if classes:
            for name, shape in (("kernel", (channels[num_blocks], classes)), ("bias", (classes,))):
                made[f"dense/{name}"] = rng.normal(0, 0.1, shape).astype(np.float32)
                file[f"dense/dense/{name}:0"] = made[f"dense/{name}"]
    return made


def convert(*paths):
    return subprocess.run([sys.executable, SCRIPT, *paths], capture_output=True, text=True)


def test_normalisation_is_folded(tmp_path):
    made = make_h5(tmp_path / "first.h5", 5, classes=10)  # a classifier of other classes, which is left out
    assert convert(tmp_path / "first.h5", tmp_path / "out").returncode == 0
    tensors = load_file(tmp_path / "out/model.safetensors")
    ours = {"layer01_conv": "layer1/conv", "layer04_depthwise": "layer3/depthwise_conv",
            "layer05_pointwise": "layer3/pointwise_conv", "layer11_pointwise": "layer6/pointwise_conv"}  # fmt: skip
    assert len(tensors) == 2 * 11
    for name, layer in ours.items():
        kernel = made.get(f"{layer}/kernel")
        kernel = made[f"{layer}/depthwise_kernel"][..., 0] if kernel is None else kernel
        patch = noise(kernel.shape, seed=1)
        axes = (0, 1) if name.endswith("depthwise") else (0, 1, 2)
        patch = patch if name.endswith("depthwise") else patch[..., :1]
        deviation = np.sqrt(made[f"{layer}/bn/moving_variance"] + 1e-4)
        normed = ((patch * kernel).sum(axes) - made[f"{layer}/bn/moving_mean"]) / deviation + made[f"{layer}/bn/beta"]
        folded = (patch * tensors[f"{name}.kernel"]).sum(axes) + tensors[f"{name}.bias"]
        np.testing.assert_allclose(folded, normed, atol=1e-5)
    teacher = yamnet.load(open_checkpoint(tmp_path / "out"))
    assert (teacher.num_layers, teacher.width, teacher.taps[-1]) == (5, 256, "embedding")


def test_the_whole_network_has_its_classifier(tmp_path):
    made = make_h5(tmp_path / "yamnet.h5", 13, classes=521)
    assert convert(tmp_path / "yamnet.h5", tmp_path / "out").returncode == 0
    teacher = yamnet.load(open_checkpoint(tmp_path / "out"))
    embedding, scores = (teacher.embed_windows(noise(16_000), tap) for tap in ("embedding", "scores"))
    expected = 1 / (1 + np.exp(-(embedding @ made["dense/kernel"] + made["dense/bias"])))
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert np.ptp(embedding) > 1e-3


def test_another_file_is_refused(tmp_path):
    make_h5(tmp_path / "cut.h5", 3)
    result = convert(tmp_path / "cut.h5", tmp_path / "out")
    assert result.returncode == 2
    assert "YAMNet has 27 or 11 convolutions" in result.stderr
    assert "has 7" in result.stderr
    assert not (tmp_path / "out").exists()
