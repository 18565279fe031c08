"""wav2vec 2.0, HuBERT and WavLM against hidden states that `transformers` 4.48 computed (../shared/parity).

The table of largest errors: python -m tests.distill.test_parity
"""

import dataclasses
import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from distill.teachers import hub, wav2vec2
from tests.oracles import wav2vec2 as oracle

PARITY = Path(__file__).resolve().parents[3] / "shared" / "parity"
FOLDERS = ("wav2vec2_base", "wav2vec2_large_ctc", "hubert_base", "hubert_large_sharded", "wavlm_base", "wavlm_large")
TOLERANCE = 1e-4
pytestmark = pytest.mark.skipif(not PARITY.exists(), reason="the fixtures are not part of the repository")


@functools.cache
def errors(folder):
    """Largest absolute error of each hidden state: of two clips alone, of both in a batch with lengths, and without."""
    teacher = wav2vec2.load(hub.open_checkpoint(PARITY / folder))
    expected = np.load(PARITY / folder / "expected.npz")
    a, b = expected["wave_a"], expected["wave_b"]
    found = {}
    for clip, name in ((a, "a"), (b, "b")):
        alone = np.stack(teacher.hidden_states(clip[None]))[:, 0]
        found[f"clip {name}"] = np.abs(alone - expected[f"hidden_{name}"]).max(axis=(1, 2))
    batch = np.stack([a, np.pad(b, (0, len(a) - len(b)))])
    states = np.stack(teacher.hidden_states(batch, expected["batch_lengths"]))
    within = expected["batch_frame_mask"].astype(bool)
    assert not states[:, ~within].any(), "frames after a clip's end are zeros"
    found["masked"] = np.abs(states - expected["batch_hidden_masked"])[:, within].max(axis=(1, 2))
    prepared = dataclasses.replace(teacher, normalize=False)
    states = np.stack(prepared.hidden_states(expected["batch_input_values"]))
    found["unmasked"] = np.abs(states - expected["batch_hidden_unmasked"]).max(axis=(1, 2, 3))
    return found


def table():
    """Markdown: a row a clip and checkpoint, a column a hidden state."""
    lines = ["| | input | state 0 | 1 | 2 | 3 | 4 |", "|---|---|---:|---:|---:|---:|---:|"]
    for folder in FOLDERS:
        for name, values in errors(folder).items():
            cells = [f"{value:.1e}" for value in values] + [""] * (5 - len(values))
            lines.append(f"| {folder} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_hidden_state(folder):
    worst = max(values.max() for values in errors(folder).values())
    assert worst < TOLERANCE, table()


ON_JAX = """
import sys, keras
from tests.distill import test_parity
assert keras.backend.backend() == "jax"
for folder in sys.argv[1:]:
    test_parity.test_every_hidden_state(folder)
"""


@pytest.mark.slow
def test_jax_computes_the_same():
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", ON_JAX, *FOLDERS], check=True, env=environment, cwd=root)


@pytest.mark.parametrize("folder", ["wav2vec2_base", "wavlm_large"])
def test_the_oracle_is_the_reference(folder):
    """What checks the network where these fixtures are not at hand."""
    checkpoint = hub.open_checkpoint(PARITY / folder)
    expected = np.load(PARITY / folder / "expected.npz")
    tensors = {name: checkpoint.tensor(name) for name in checkpoint.names()}
    states = oracle.hidden_states(tensors, checkpoint.config, expected["input_values_b"])
    np.testing.assert_allclose(states, expected["hidden_b"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("folder", ["hubert_large_sharded", "wavlm_large", "wav2vec2_large_ctc"])
def test_fewer_blocks_are_the_first(folder):
    """And none of them is taken for the last, which has passed the final norm."""
    checkpoint = hub.open_checkpoint(PARITY / folder)
    expected = np.load(PARITY / folder / "expected.npz")
    teacher = wav2vec2.load(checkpoint, num_layers=2)
    states = teacher.hidden_states(expected["wave_a"][None])
    assert len(states) == 3
    np.testing.assert_allclose(np.concatenate(states), expected["hidden_a"][:3], rtol=0, atol=TOLERANCE)


if __name__ == "__main__":
    print(table())  # noqa: T201
