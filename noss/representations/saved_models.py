"""Published SavedModels by family: YAMNet, VGGish, TRILL and what was distilled from it. Extra `teachers`."""

from noss.representations.functions import Function
from trill.networks import saved_models
from trill.networks.saved_model_families import FAMILIES, SAMPLE_RATE


def load_saved_model(family: str, what: str) -> Function:
    """A published model at one of its layers.

    Args:
        family: a row of `trill.networks.saved_model_families.FAMILIES`.
        what: `""` for the one on TF Hub at its top, `@TAP`, or `WHERE@TAP` with a folder that holds
            `saved_model.pb` or an `https://` handle, which is downloaded once.

    Raises:
        ValueError: if there is no such tap or folder, or the model has no such layer.
        OSError: if it cannot be downloaded.
        MissingPackageError: if TensorFlow is not installed.
    """
    where, tap = saved_models.split_tap(what, tuple(FAMILIES[family].taps), family)
    model = saved_models.load_saved_model(family, where)
    model.tap(tap)  # says now that there is no such layer
    return Function(f"{model.name}@{tap}", SAMPLE_RATE, lambda waveform: model.rows(waveform, tap))
