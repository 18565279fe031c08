"""Write a wav2vec 2.0, HuBERT or WavLM checkpoint with random weights, in the hub's form.

python scripts/make_ssl_checkpoint.py FOLDER [--family wavlm] [--size large] [--seed 0]

It has the size and the files of a published model (base: 95 million parameters, large: 315) and knows nothing: for
measuring time and memory, and for tests. Same arguments, same bytes.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from distill.teachers.wav2vec2_config import EXAMPLE, block_shapes, config, outer_shapes, position_shapes
from trill.files import write_atomically

LARGE = {
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
}
SIZES: dict[str, dict[str, Any]] = {"base": EXAMPLE, "large": EXAMPLE | LARGE}
# Of WavLM alone; the others do not look at them. Its convolutions have no bias in either size.
FAMILIES: dict[str, dict[str, Any]] = {
    "wav2vec2": {},
    "hubert": {"feat_proj_layer_norm": True},
    "wavlm": {"num_buckets": 320, "max_bucket_distance": 800, "conv_bias": False},
}


def shapes(content: dict[str, Any], *, new_names: bool = True) -> dict[str, tuple[int, ...]]:
    """Every tensor of the encoder that the configuration describes."""
    c = config(content)
    blocks = {
        f"encoder.layers.{i}.{name}": shape for i in range(c.num_blocks) for name, shape in block_shapes(c).items()
    }
    return outer_shapes(c) | position_shapes(c)[new_names] | blocks | {"masked_spec_embed": (c.width,)}


def random_tensor(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Matrices that keep the size of what they are given, gains about 1, small offsets."""
    if len(shape) > 1 and not name.endswith(("weight_g", "original0", "rel_attn_embed.weight", "rel_pos_const")):
        return rng.standard_normal(shape, np.float32) / np.float32(math.sqrt(math.prod(shape[1:])))
    middle = 0 if name.endswith((".bias", "masked_spec_embed")) else 1
    return middle + rng.standard_normal(shape, np.float32) / np.float32(5)


def write_checkpoint(
    folder: Path,
    content: dict[str, Any],
    *,
    seed: int = 0,
    normalize: bool = True,
    new_names: bool = True,
    prefix: str = "",
) -> int:
    """Write the files; `content` is that of `config.json`.

    Returns:
        How many parameters they hold.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        prefix + name: random_tensor(rng, name, shape) for name, shape in shapes(content, new_names=new_names).items()
    }
    with write_atomically(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    preprocessor = {"do_normalize": normalize, "sampling_rate": 16_000}
    for name, settings in (("config.json", content), ("preprocessor_config.json", preprocessor)):
        with write_atomically(folder / name) as temporary:
            temporary.write_text(json.dumps(settings, indent=2))
    return sum(tensor.size for tensor in tensors.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--family", choices=FAMILIES, default="wavlm")
    parser.add_argument("--size", choices=SIZES, default="large")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    content = SIZES[arguments.size] | FAMILIES[arguments.family] | {"model_type": arguments.family}
    count = write_checkpoint(arguments.folder, content, seed=arguments.seed)
    print(f"{arguments.folder}: {arguments.family} {arguments.size}, {count:,} parameters")


if __name__ == "__main__":
    main()
