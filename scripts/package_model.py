"""Put a trained network into the package: the model file, its row in presets.toml, and its Keras weights in recipes/.

python scripts/package_model.py runs/models/mobilenet-2-seed0/last.safetensors

It is exported as `trill-export` does and called by the name and version that it carries. Afterwards come the
background of its personal heads, scripts/fit_calibration.py, and the card, scripts/model_card.py.
"""

import argparse
import re
import shutil
from pathlib import Path

from trill import files, presets

QUANTIZATION = "float16"
KEPT = Path(__file__).parents[1] / "recipes/weights"
ROW = '[{name}]\nfile = "{stem}.tflite"\nsha256 = "{sha256}"\ncard = "{stem}.md"\nmultiply_adds = {multiply_adds}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="a .safetensors of trill.networks.saving")
    package(parser.parse_args().weights)


def package(weights: Path, kept: Path = KEPT) -> Path:
    """Export, copy, and name it; tell what is left over of the version before."""
    from export.tflite import export_network
    from trill.networks import saving
    from trill.networks.counting import multiply_adds

    network, config = saving.load(weights)
    stem = f"{config.name}-{config.version}"
    packaged = presets.WEIGHTS / f"{stem}.tflite"
    export_network(network, config, packaged, QUANTIZATION)
    if weights.absolute() != (kept / f"{stem}.safetensors").absolute():
        shutil.copyfile(weights, kept / f"{stem}.safetensors")
    row = ROW.format(name=config.name, stem=stem, sha256=files.sha256(packaged), multiply_adds=multiply_adds(network))
    text = presets.PRESETS.read_text(encoding="utf-8")
    text, replaced = re.subn(rf"\[{re.escape(config.name)}\]\n(?:[^\[\n].*\n?)*", row, text)
    with files.write_atomically(presets.PRESETS) as temporary:
        temporary.write_text(text if replaced else f"{text}\n{row}", encoding="utf-8")
    for old in presets.WEIGHTS.glob(f"{config.name}-*"):
        if old.stem.rpartition("-")[0] == config.name and not old.name.startswith(f"{stem}."):
            print(f"{old} is no longer named: git rm it, and its Keras weights")
    return packaged


if __name__ == "__main__":
    main()
