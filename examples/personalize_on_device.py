"""Teach an exported file two speakers, as a phone would, and count what it gets right on clips it has not learned.

    python examples/personalize_on_device.py personal.tflite ../shared/speech/dev/speaker_en_l2

The file is one of `export.signatures.export_personal`, the folder holds a manifest.csv with columns path and speaker.
"""

import csv
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import trill

CLIPS_TO_LEARN, STEPS_A_CLASS = 3, 25
MOMENTUM, WEIGHT_DECAY = np.float32(0.9), np.float32(1e-4)


def main(model: str, folder: str, *speakers: str) -> tuple[float, float]:
    """Accuracy before and after; the folder's first two speakers unless others are named."""
    clips = defaultdict(list)
    with open(Path(folder) / "manifest.csv", newline="") as manifest:
        for row in csv.DictReader(manifest):
            clips[row["speaker"]].append(Path(folder) / row["path"])
    embedder = trill.load(model)
    known = [embedder.embed_batch(clips[speaker]) for speaker in speakers or list(clips)[:2]]
    lesson = np.concatenate([x[:CLIPS_TO_LEARN] for x in known])
    labels = np.repeat(np.arange(len(known)), CLIPS_TO_LEARN).astype(np.int32)

    head = Interpreter(model_path=model)
    train, infer, get, put = map(head.get_signature_runner, ("train", "infer", "get_weights", "set_weights"))
    state = get(unused=np.float32(0))
    put(**state | {"active": (np.arange(len(state["active"])) < len(known)).astype(np.float32)})
    batch, _ = train.get_input_details()["embeddings"]["shape"]

    def accuracy() -> float:
        held_out = [(x, label) for label, rows in enumerate(known) for x in rows[CLIPS_TO_LEARN:]]
        return float(np.mean([infer(embedding=x[None])["probabilities"].argmax() == label for x, label in held_out]))

    generator, order, untrained, steps = np.random.default_rng(0), [], accuracy(), STEPS_A_CLASS * len(known)
    start = time.perf_counter()
    for step in range(steps):
        # Every clip once before any comes again: batches that favour a class teach it instead of the voices.
        order = order or list(generator.permutation(len(lesson)))
        chosen, order = order[:batch], order[batch:]
        rest = (0, batch - len(chosen))
        loss = train(
            embeddings=np.pad(lesson[chosen], (rest, (0, 0))),
            labels=np.pad(labels[chosen], rest),
            sample_weights=np.pad(np.ones(len(chosen), np.float32), rest),
            learning_rate=np.float32(1 - step / steps),  # falls: many clips that overlap are learnt to the end
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
        )["loss"]
    milliseconds, trained = 1000 * (time.perf_counter() - start) / steps, accuracy()
    print(f"accuracy {untrained:.0%} untrained, {trained:.0%} trained; loss {loss:.3f}, {milliseconds:.2f} ms a step")
    return untrained, trained


if __name__ == "__main__":
    main(*sys.argv[1:])
