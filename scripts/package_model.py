"""Put an exported model file into the package: its weights, and its row in presets.toml.

python scripts/package_model.py runs/mobilenet-1/mobilenet-1.safetensors

Keras weights are exported first, as `trill-export` does; a `.tflite` is taken as it is.
"""

import argparse
import re
import shutil
from pathlib import Path

from trill import files, modelfile, presets

QUANTIZATION = "float16"
ROW = '[{name}]\nfile = "{file}"\nsha256 = "{sha256}"\ncard = "{stem}.md"\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    path = parser.parse_args().model
    packaged = presets.WEIGHTS / f"{path.stem}.tflite"
    if path.suffix == ".safetensors":
        from export.tflite import export_network
        from trill.networks import saving

        export_network(*saving.load(path), packaged, QUANTIZATION)
    else:
        shutil.copyfile(path, packaged)
    name = modelfile.read(packaged)[1].name
    row = ROW.format(name=name, file=packaged.name, sha256=files.sha256(packaged), stem=path.stem)
    text = presets.PRESETS.read_text(encoding="utf-8")
    text, replaced = re.subn(rf"\[{re.escape(name)}\]\n(?:[^\[\n].*\n?)*", row, text)
    presets.PRESETS.write_text(text if replaced else f"{text}\n{row}", encoding="utf-8")


if __name__ == "__main__":
    main()
