"""The command line `trill-export`: from Keras weights to a model file, and the verdict on one."""

import dataclasses
import json
import os
from pathlib import Path

import click

from export.quantization import QUANTIZATIONS
from trill.cli import Manual
from trill.errors import optional
from trill.modelfile import ModelCard
from trill.version import __version__


class DefaultCommand(Manual):
    """`trill-export MODEL ...` means `trill-export convert MODEL ...`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        own = {*self.commands, *context.help_option_names, "--version"}
        return super().parse_args(context, args if not args or args[0] in own else ["convert", *args])


@click.group(cls=DefaultCommand, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="trill-export")
def main() -> None:
    """Make a file that a phone can trust out of a trained network.

    The file takes sound and gives embeddings, on TFLite's built-in operators alone. It is compared with its network on
    speech, silence, noise, a sweep and clipping before it is written; too far off, it is not.

    \b
    Convert:          trill-export network.safetensors -o model.tflite --quantization float16
    Its options:      trill-export convert --help
    Check a file:     trill-export verify model.tflite
    Measure files:    trill-export bench model.tflite other.tflite
    What a file is:   trill info model.tflite

    Exit code: 0 done; 2 nothing done; 130 stopped.
    """  # noqa: D301 (click's sign for lines to leave alone)


@main.command()
@click.argument("model", metavar="MODEL.safetensors")
@click.option("-o", "--output", required=True, metavar="FILE.tflite", help="Must not exist yet.")
@click.option(
    "--quantization", type=click.Choice(list(QUANTIZATIONS)), default="float16", show_default=True, help="See above."
)
@click.option("--taps", metavar="A,B", help="Outputs to keep.  [default: all]")
@click.option("--without-frontend", is_flag=True, help="Take log-mel instead of a waveform.")
@click.option("--dynamic", is_flag=True, help="Take a waveform of any length from one window on; give a row a window.")
@click.option("--representative", metavar="FOLDER", help="Speech as the model will hear it.  [default: bundled clips]")
@click.option("--probe", metavar="LABELLED", help="Labelled clips, a manifest or a folder a label: the cost there.")
@click.option(
    "--personal", type=int, metavar="CLASSES", help="A file that learns to tell so many classes on the phone."
)
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
def convert(
    model: str,
    output: str,
    quantization: str,
    taps: str | None,
    without_frontend: bool,
    dynamic: bool,
    representative: str | None,
    probe: str | None,
    personal: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Convert a network that `trill.networks.saving.save` wrote.

    \b
    float32       the network
    float16       half the size at no loss: the one to take
    int8-weights  a quarter; computes in float32
    int8-dynamic  a quarter; computes in integers where the machine is good at them
    int8          a quarter; integers throughout, from ranges seen in --representative; loud tones saturate
    int16x8       as int8 with 16-bit activations; slow but on special hardware
    int8-io       int8 with int8 input and output; only --without-frontend

    The front end stays float32 in each. Calibrated modes (int8, int8-io, int16x8) want representative speech.

    \b
    trill-export network.safetensors -o model.tflite
    trill-export network.safetensors -o small.tflite --quantization int8 --representative recordings/
    trill-export network.safetensors -o clip.tflite --taps embedding --dynamic
    trill-export network.safetensors -o personal.tflite --personal 16
    """  # noqa: D301
    check_output(Path(output), overwrite)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for package in ("keras", "tensorflow", "ai_edge_quantizer"):
        optional(package, "export")
    from export.tflite import Form, export_network
    from trill.networks import saving
    from trill.training.finetuning.heads import attach

    network, config = saving.load(model)
    if personal is not None:
        if taps or without_frontend or dynamic or probe:
            raise ValueError("--personal takes a window of sound and gives its embedding: it goes with no other form.")
        from export.signatures import export_personal

        card = export_personal(
            network, config, output, num_classes=personal, quantization=quantization, representative=representative
        )
        report(output, card, card.verification, as_json)
        return
    network, config, attachments = attach(network, config, model)  # of a fine-tuned network, its heads
    form = Form(taps.split(",") if taps else None, frontend=not without_frontend, dynamic=dynamic)
    card = export_network(
        network,
        config,
        output,
        quantization,
        form=form,
        representative=representative,
        probe=probe,
        attachments=attachments,
    )
    report(output, card, card.verification, as_json)


@main.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def verify(file: str, as_json: bool) -> None:
    """Repeat the verdict on a model file, from the file alone.

    It carries a few test sounds and what its network made of them: they are run in every interpreter that is installed
    and held to the bounds of the file's quantization. Needs neither TensorFlow nor Keras.
    """
    from export.verification import verify_file

    card, figures = verify_file(file)
    report(file, card, figures, as_json)


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench(files: tuple[str, ...], as_json: bool) -> None:
    """How large, fast and hungry model files are here.

    Milliseconds a window are medians of interleaved rounds, warm. The last column is the share of this machine's
    float32 matrix-product rate on one core, which compares machines better than milliseconds do.
    """
    for package in ("tensorflow", "threadpoolctl"):
        optional(package, "export")
    from export.benchmark import measure, table

    rows = measure(files)
    click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) if as_json else table(rows))


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse, before minutes of work, what cannot be written in the end.

    Raises:
        ValueError: if the file exists and may not be replaced, or the folder is missing or read-only.
    """
    if path.suffix != ".tflite":
        raise ValueError(f"the output must end in .tflite, got {path}.")
    if path.is_dir() or (path.exists() and not overwrite):
        raise ValueError(f"the output must not exist yet, {path} does. Choose another, or pass --overwrite.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"the output's folder must exist and be writable, {path.parent} is not.")


def report(path: str, card: ModelCard, figures: dict[str, dict[str, float]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"file": str(path), "model": card.identity, "figures": figures}, indent=1))
        return
    click.echo(
        f"{path}: {card.identity}, {card.quantization}, {os.path.getsize(path) / 1e6:.2f} MB, agrees with its network:"
    )
    for name, row in figures.items():
        click.echo(f"  {name:28s} " + ", ".join(f"{key} {value:.3g}" for key, value in row.items()))


if __name__ == "__main__":
    main()
