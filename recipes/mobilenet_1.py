"""The first packaged model: a MobileNet taught by Whisper's middle blocks and YAMNet's layer 10.

    python recipes/mobilenet_1.py SPEECH TEACHERS --noise NOISE -o runs/mobilenet-1

SPEECH are folders with a `manifest.csv` (column `path`), TEACHERS holds the folders `whisper_tiny_en_encoder` and
`yamnet_float_layers1to11`. The student starts from random weights; the teachers' weights only make targets:

- each of its six 160 ms output columns predicts the mean of Whisper's blocks 1-3 over that time (standardised, the
  first 256 principal components);
- its embedding (mean over time, four bands kept) predicts mean and deviation of those over the window, and the mean
  over time of YAMNet's layer 10;
- its fifth block predicts YAMNet's layer 10 at every place.

Expected time and score: `recipes/README.md`.
"""

import argparse
import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tqdm import tqdm

from distill.teachers import whisper
from distill.teachers.hub import open_checkpoint
from distill.teachers.yamnet import yamnet_layer10
from export.tflite import export_network
from trill import audio, files
from trill.networks import saving
from trill.networks.frontend import FRONTENDS, LogMel
from trill.networks.mobilenet import mobilenet
from trill.networks.saving import NetworkConfig

FRONTEND = FRONTENDS["yamnet"]
WHISPER_STEP = 320  # samples a Whisper frame
COLUMNS, FRAMES = 6, 8  # output columns of the student, Whisper frames in each
COMPONENTS = 256
TAIL = 8_000  # zeros after each clip: the padded windows of short clips are sound to learn from, too


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Clips end to end: int16 samples, teacher frames, and where each clip starts in both."""

    samples: np.ndarray  # (total_samples,) int16
    targets: np.ndarray  # (total_frames, COMPONENTS) float16
    starts: np.ndarray  # (clips, 2) first sample, first frame
    frames: np.ndarray  # (clips,) frames in a clip


def read_folder(folder: Path) -> list[np.ndarray]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return [audio.read(folder / row["path"]) for row in csv.DictReader(file)]


def make_corpus(clips: list[np.ndarray], teacher: whisper.Whisper, cache: Path) -> Corpus:
    """Run the teacher once over every clip; the basis comes from the first frames seen of 500 of them."""

    def states(clip: np.ndarray) -> np.ndarray:
        return np.concatenate(teacher.hidden_states(clip[None])[1:], axis=2)[0]

    clips = [np.pad(clip, (0, TAIL + -(len(clip) + TAIL) % WHISPER_STEP)) for clip in clips]
    frames = np.array([len(clip) // WHISPER_STEP for clip in clips])
    if not cache.exists():
        rng = np.random.default_rng(0)
        sample = np.concatenate([states(clips[i]) for i in rng.permutation(len(clips))[:500]])
        mean, scale = sample.mean(0), sample.std(0)
        _, values, basis = np.linalg.svd(np.cov((sample - mean) / scale, rowvar=False))
        print(f"{COMPONENTS} components hold {values[:COMPONENTS].sum() / values.sum():.3f} of the variance")
        # One common scale keeps the components' relative weight.
        basis = basis[:COMPONENTS].T / np.sqrt(values[:COMPONENTS].mean())
        targets = [(((states(clip) - mean) / scale) @ basis).astype(np.float16) for clip in tqdm(clips, desc="targets")]
        np.save(cache, np.concatenate(targets))
    starts = np.cumsum([0, *frames[:-1]])
    samples = np.concatenate([np.round(clip * 32767).astype(np.int16) for clip in clips])
    return Corpus(samples, np.load(cache, mmap_mode="r"), np.stack([starts * WHISPER_STEP, starts], 1), frames)


def batches(corpus: Corpus, noise: list[np.ndarray], batch: int, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Random windows of random clips, in proportion to their length: clean, augmented, teacher frames."""
    rng = np.random.default_rng(seed)
    span = COLUMNS * FRAMES
    room = np.maximum(1, corpus.frames - span)
    chance = room / room.sum()
    while True:
        clean = np.zeros((batch, FRONTEND.window_samples), np.float32)
        augmented = np.zeros_like(clean)
        targets = np.zeros((batch, span, COMPONENTS), np.float32)
        for row, clip in enumerate(rng.choice(len(room), batch, p=chance)):
            offset = rng.integers(room[clip])
            first = corpus.starts[clip] + offset * np.array([WHISPER_STEP, 1])
            sound = corpus.samples[first[0] : first[0] + FRONTEND.window_samples].astype(np.float32) / 32767
            clean[row, : len(sound)] = sound
            targets[row] = corpus.targets[first[1] : first[1] + span]
            augmented[row] = clean[row]
            if rng.random() < 0.4:
                augmented[row] += noise_like(clean[row], noise[rng.integers(len(noise))], rng)
            augmented[row] *= 10 ** (rng.uniform(-15, 6) / 20)
        yield clean, np.clip(augmented, -1, 1), targets


def noise_like(sound: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A stretch of `noise` at 0 to 25 dB below `sound`."""
    start = rng.integers(max(1, len(noise) - len(sound)))
    stretch = np.resize(noise[start : start + len(sound)], len(sound))
    level = np.sqrt((sound**2).mean() / ((stretch**2).mean() + 1e-10))
    return stretch * level * 10 ** (-rng.uniform(0, 25) / 20)


class Distillation(keras.Model):
    """Student and heads; the heads are dropped at export."""

    def __init__(self, student: keras.Model, yamnet: keras.Model) -> None:
        super().__init__()
        self.log_mel, self.student, self.yamnet = LogMel(FRONTEND), student, yamnet
        self.column_head = keras.layers.Dense(COMPONENTS, name="column_head")
        self.clip_head = keras.layers.Dense(2 * COMPONENTS, name="clip_head")
        self.yamnet_head = keras.layers.Dense(8 * 256, name="yamnet_head")
        self.block_head = keras.layers.Dense(256, name="block_head")
        # Standardises the YAMNet targets over the batches seen.
        self.standardise = keras.layers.BatchNormalization(center=False, scale=False, name="standardise")

    def call(self, inputs: tuple, training: bool = False) -> dict:
        clean, augmented, whisper = inputs
        taps = self.student(self.log_mel(augmented), training=training)
        yamnet = self.standardise(self.yamnet(self.log_mel(clean)), training=training)
        columns = ops.reshape(taps["final"], (-1, COLUMNS, 4 * 512))
        by_column = ops.mean(ops.reshape(whisper, (-1, COLUMNS, FRAMES, COMPONENTS)), axis=2)
        window = ops.concatenate([ops.mean(whisper, axis=1), ops.std(whisper, axis=1)], axis=1)
        yamnet_mean = ops.reshape(ops.mean(yamnet, axis=1), (-1, 8 * 256))

        def error(prediction, target):
            return ops.mean(ops.square(prediction - target))

        return {
            "column": error(self.column_head(columns), by_column),
            "clip": error(self.clip_head(taps["embedding"]), window),
            "yamnet": error(self.yamnet_head(taps["embedding"]), yamnet_mean),
            "block": error(self.block_head(taps["block5"]), yamnet),
        }


def finish(student: keras.Model, output: Path) -> None:
    """Write the trained student as Keras weights and as the file to package."""
    config = NetworkConfig(
        "mobilenet",
        {"pooling": "time", "batch_norm": True},
        dataclasses.replace(FRONTEND, hop_frames=96),
        name="mobilenet",
        version="1",
        licence="Apache-2.0",
        description="MobileNetV1, distilled from Whisper tiny.en (blocks 1-3) and YAMNet (layer 10)",
    )
    network = saving.build(config)
    network.get_layer("mobilenet").set_weights(student.get_weights())
    saving.save(network, config, output / "mobilenet-1.safetensors")
    card = export_network(network, config, output / "mobilenet-1.tflite", "float16")
    print(f"{output / 'mobilenet-1.tflite'}: {card.identity}, file {files.sha256(output / 'mobilenet-1.tflite')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, nargs="+")
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finish", type=Path, metavar="WEIGHTS", help="only export a checkpoint of an earlier run")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(args.seed)
    student = mobilenet(pooling="time", batch_norm=True)
    if args.finish:
        student.load_weights(args.finish)
        finish(student, args.output)
        return

    teacher = whisper.load(open_checkpoint(args.teachers / "whisper_tiny_en_encoder"), num_layers=3)
    corpus = make_corpus([c for f in args.speech for c in read_folder(f)], teacher, args.output / "targets.npy")
    stream = batches(corpus, read_folder(args.noise), args.batch, args.seed)

    model = Distillation(student, yamnet_layer10(args.teachers / "yamnet_float_layers1to11"))
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, args.steps - 500, warmup_target=args.learning_rate, warmup_steps=500
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=5.0)

    @tf.function
    def step(clean, augmented, targets):
        with tf.GradientTape() as tape:
            losses = model((clean, augmented, targets), training=True)
            total = tf.add_n(list(losses.values()))
        optimizer.apply(tape.gradient(total, model.trainable_variables), model.trainable_variables)
        return losses

    signature = tuple(tf.TensorSpec(array.shape, tf.float32) for array in next(stream))
    data = iter(tf.data.Dataset.from_generator(lambda: stream, output_signature=signature).prefetch(4))
    model(next(data))
    optimizer.build(model.trainable_variables)
    running: dict[str, float] = {}
    for number in (bar := tqdm(range(1, args.steps + 1), mininterval=10)):
        for name, value in step(*next(data)).items():
            running[name] = 0.98 * running.get(name, float(value)) + 0.02 * float(value)
        if number % 50 == 0:
            bar.set_postfix({name: f"{value:.3f}" for name, value in running.items()})
        if number % 500 == 0:
            student.save_weights(args.output / f"student-{number:06d}.weights.h5")
            with (args.output / "log.csv").open("a") as log:
                log.write(f"{number},{','.join(f'{value:.4f}' for value in running.values())}\n")
    finish(student, args.output)


if __name__ == "__main__":
    main()
