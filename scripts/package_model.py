"""Put a trained network into the package: model files, their rows in presets.toml, and the Keras weights in recipes/.

python scripts/package_model.py runs/models/mobilenet-4-seed0.safetensors

Files are called by the name and version that it carries, and by their quantization, but for the first that
scripts/models.toml lists (float16 for a name that is not there). Afterwards come what they share: the background of
personal heads, scripts/fit_calibration.py, and the card, scripts/model_card.py.
"""

import argparse
import re
import shutil
import tomllib
from pathlib import Path

from trill import files, presets

KEPT = Path(__file__).parents[1] / "recipes/weights"
MADE_OF = Path(__file__).with_name("models.toml")
ROW = '[{name}]\nfile = "{file}"\nsha256 = "{sha256}"\ncard = "{stem}.md"\nmultiply_adds = {multiply_adds}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="a .safetensors of trill.networks.saving")
    package(parser.parse_args().weights)


def package(weights: Path, kept: Path = KEPT) -> list[Path]:
    """Export, copy, and name; tell what is left over of the version before."""
    from export.quantization import QUANTIZATIONS
    from export.tflite import export_network
    from trill.networks import saving
    from trill.networks.counting import multiply_adds

    network, config = saving.load(weights)
    stem = f"{config.name}-{config.version}"
    if weights.absolute() != (kept / f"{stem}.safetensors").absolute():
        shutil.copyfile(weights, kept / f"{stem}.safetensors")
    quantizations = tomllib.loads(MADE_OF.read_text(encoding="utf-8"))["quantizations"].get(config.name, ["float16"])
    endings = ["", *(f"-{other}" for other in quantizations[1:])]
    packaged = [presets.WEIGHTS / f"{stem}{ending}.tflite" for ending in endings]
    for file, ending, quantization in zip(packaged, endings, quantizations, strict=True):
        export_network(network, config, file, quantization)
        facts = {"file": file.name, "sha256": files.sha256(file), "multiply_adds": multiply_adds(network)}
        name_it(f"{config.name}{ending}", ROW.format(name=f"{config.name}{ending}", stem=stem, **facts))
    other = "|".join(f"-{mode}" for mode in QUANTIZATIONS)
    for old in presets.WEIGHTS.glob(f"{config.name}-*"):
        ours = re.fullmatch(rf"{re.escape(config.name)}-([^-]+)({other})?\.(tflite|md|json|speech\.npz)", old.name)
        if ours and ours[1] != config.version:
            print(f"{old} is no longer named: git rm it, and its Keras weights")
    return packaged


def name_it(name: str, row: str) -> None:
    """Put a row in the place of its namesake, or at the end."""
    text = presets.PRESETS.read_text(encoding="utf-8")
    text, replaced = re.subn(rf"\[{re.escape(name)}\]\n(?:[^\[\n].*\n?)*", row, text)
    with files.write_atomically(presets.PRESETS) as temporary:
        temporary.write_text(text if replaced else f"{text}\n{row}", encoding="utf-8")


if __name__ == "__main__":
    main()
