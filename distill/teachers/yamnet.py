"""YAMNet up to the TRILL paper's "layer 10": our own MobileNet with YAMNet's weights.

github.com/tensorflow/models, research/audioset/yamnet.
"""

from pathlib import Path

import keras
from safetensors.numpy import load_file

from trill.networks.mobilenet import mobilenet


def yamnet_layer10(folder: str | Path) -> keras.Model:
    """Load YAMNet's first eleven convolutions.

    Args:
        folder: holds `model.safetensors` with `layerNN_*` kernels and biases, batch norm folded.

    Returns:
        A frozen model from log-mel `(batch, 96, 64)` (`FRONTENDS["yamnet"]`) to `(batch, 12, 8, 256)`: the depthwise
        half of the fifth block, after its ReLU, which is the tenth convolution in the slim numbering of the paper.
    """
    tensors = load_file(Path(folder) / "model.safetensors")
    network = mobilenet()
    names = ["stem"] + [f"block{i}_{part}" for i in range(1, 6) for part in ("depthwise", "pointwise")]
    for index, name in enumerate(names, start=1):
        kind = "conv" if name == "stem" else name.split("_")[1]
        layer = network.get_layer(name)
        kernel = tensors[f"layer{index:02d}_{kind}.kernel"].reshape(layer.kernel.shape)
        layer.set_weights([kernel, tensors[f"layer{index:02d}_{kind}.bias"]])
    model = keras.Model(network.input, network.get_layer("block5_depthwise_relu").output, name="yamnet_layer10")
    model.trainable = False
    return model
