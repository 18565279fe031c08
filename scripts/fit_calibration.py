"""Make the background of a model for personal heads: mean and main directions of speech, and chances of scores.

    python scripts/fit_calibration.py mobilenet corpus/train corpus/more

writes trill/weights/NAME-VERSION.speech.npz for a packaged model; with -o, a file for `PersonalHead(background=...)`.
Each folder holds a manifest.csv with the columns path, speaker and, where there are such, keyword and source (the
corpus); five hours do. Half of the speakers, and clips without one, give the mean and the directions, the other half
the curves: drawn at random, heads of so many voices or words hear a known one and a stranger in turn. Strangers are of
the same corpus: in a household, too, they speak the same language in the same rooms.

    python scripts/fit_calibration.py mobilenet --judge dev/speaker dev/keyword

tells what heads of the packaged background are worth: accuracy, clips named rightly at a chance of .5, strangers named.
Its manifests have a column label; where that is not the speaker, other speakers are heard than learnt from.
"""

import argparse
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import trill
from trill.manifests import read_manifest
from trill.personal import background, linear
from trill.personal.background import Background
from trill.presets import WEIGHTS
from trill.progress import progress

RANK = 32
FLOOR = 10.0  # variance added to that of each direction, in mean variances
DRAWS = 400
LABELS, CLIPS = (1, 2, 4, 8, 16), (1, 2, 3, 5)  # of a head that is drawn


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--judge", action="store_true")
    options = parser.parse_args(arguments)
    embedder = trill.load(options.model)
    if options.judge:
        for folder in options.folders:
            judge(folder, embedder)
        return
    rows = [
        (folder / row["path"], *(row.get(name) or "" for name in ("speaker", "keyword", "source")))
        for folder in options.folders
        for row in read_manifest(folder / "manifest.csv", ("path",))
    ]
    paths, speakers, keywords, sources = zip(*rows, strict=True)
    x = np.stack([embedder.embed(path) for path in progress(paths, unit="clips")])
    made = fit(linear.unit(x), np.array(speakers), np.array(keywords), np.array(sources), embedder.card)
    output = options.output or WEIGHTS / f"{embedder.card.name}-{embedder.card.version}.speech.npz"
    background.write(output, made)
    print(f"{output}: {len(x)} clips, {output.stat().st_size:,} bytes, curves {made.curves}")


def fit(
    x: np.ndarray, speakers: np.ndarray, keywords: np.ndarray, sources: np.ndarray, card: trill.modelfile.ModelCard
) -> Background:
    """The background of a model.

    Args:
        x: `(num_clips, dim)` embeddings of length 1.
        speakers: `(num_clips,)`, "" where not known.
        keywords: likewise.
        sources: likewise.
        card: of the model.
    """
    chosen = np.array([speaker != "" and zlib.crc32(speaker.encode()) % 2 == 1 for speaker in speakers])
    if min(chosen.sum(), (~chosen).sum()) < 2:
        raise ValueError(
            f"two halves of speakers are needed, got {len(set(speakers) - {''})} speakers. Give more speech."
        )
    space = directions(x[~chosen])
    made = Background(card.identity, card.source_sha256, *space, curves={})
    for method in linear.METHODS:
        made.curves[method] = curve(made, method, x[chosen], speakers[chosen], keywords[chosen], sources[chosen])
    return made


def directions(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Mean, basis, gains and scale of rows of length 1."""
    mean = x.mean(axis=0)
    covariance = np.cov((x - mean).T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    rank = min(RANK, len(values) - 1)
    top, rest = values[: -rank - 1 : -1], values[:-rank].mean()
    floor = FLOOR * values.mean()
    gains = np.sqrt((rest + floor) / (top + floor))
    scale = np.sqrt(values[:-rank].sum() + (top * gains**2).sum())
    return mean, vectors[:, : -rank - 1 : -1].T.astype(np.float32), gains.astype(np.float32), float(scale)


def curve(
    space: Background,
    method: str,
    x: np.ndarray,
    speakers: np.ndarray,
    keywords: np.ndarray,
    sources: np.ndarray,
) -> tuple[float, ...]:
    """Logistic regression of "the best label is right" on its score, the number of labels and of clips a label."""
    features, right = [], []
    for labels, groups in ((speakers, np.arange(len(x)).astype(str)), (keywords, speakers)):
        for scores, clips, hit in heard(space, method, x, labels, groups, sources):
            context = (np.log(scores.shape[1]), np.log(clips), 1.0)
            features += [(score, *context) for score in scores.max(axis=1)]
            right += hit.tolist()
    if not 0 < sum(right) < len(right):
        raise ValueError(f"heads must hear known clips and strangers, {len(x)} clips are too few. Give more speech.")
    return newton(np.array(features), np.array(right, float))


def heard(
    space: Background, method: str, x: np.ndarray, labels: np.ndarray, groups: np.ndarray, sources: np.ndarray
) -> Iterator[tuple[np.ndarray, float, np.ndarray]]:
    """Scores of heads drawn at random `(num_tests, num_labels)`, clips a label, and whether the best label is right.

    Known clips and strangers are as many and of one source; a clip is of another group (a speaker, where words are
    asked) than what its label was learnt from.
    """
    generator = np.random.default_rng(0)
    there = {source: labels_of(labels[sources == source]) for source in np.unique(sources)}
    for draw in range(DRAWS):
        num_labels, clips = LABELS[draw % len(LABELS)], CLIPS[draw // len(LABELS) % len(CLIPS)]
        large = [source for source, names in there.items() if len(names) > num_labels]
        if not large:
            continue
        sizes = np.array([len(there[source]) for source in large])
        source = large[generator.choice(len(large), p=sizes / sizes.sum())]
        known = generator.choice(there[source], num_labels, replace=False)
        inside = np.where(sources == source, labels, "")
        lesson = np.concatenate([generator.permutation(np.flatnonzero(inside == name))[:clips] for name in known])
        unheard = ~np.isin(groups, groups[lesson])
        test = [generator.permutation(np.flatnonzero(unheard & (inside == name)))[:2] for name in known]
        test = np.concatenate(test)
        strangers = generator.permutation(np.flatnonzero(unheard & (inside != "") & ~np.isin(inside, known)))
        if not len(test) or len(strangers) < len(test):
            continue
        test = np.concatenate([test, strangers[: len(test)]])
        head = linear.fit(x[lesson], labels[lesson].tolist(), space, method)
        scores = head.scores(x[test])
        yield scores, head.clips, np.array(head.labels)[scores.argmax(axis=1)] == labels[test]


def labels_of(labels: np.ndarray) -> list[str]:
    """Those of two clips or more."""
    return [str(name) for name in np.unique(labels) if name and (labels == name).sum() > 1]


def judge(folder: Path, embedder: trill.Embedder) -> None:
    """Print a line a size of head."""
    rows = read_manifest(folder / "manifest.csv", ("path", "label"))
    x = linear.unit(np.stack([embedder.embed(folder / row["path"]) for row in progress(rows, unit="clips")]))
    labels = np.array([row["label"] for row in rows])
    speakers = np.array([row.get("speaker") or row["path"] for row in rows])
    groups = np.arange(len(x)).astype(str) if (labels == speakers).all() else speakers
    space = background.background_of(embedder.card, x.shape[1])
    found: dict[tuple[int, float, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for method in linear.METHODS:
        for scores, clips, hit in heard(space, method, x, labels, groups, np.zeros(len(x))):
            chances = space.chances(method, clips, scores).max(axis=1)
            found.setdefault((scores.shape[1], clips, method), []).append((chances, hit))
    for (num_labels, clips, method), heads in sorted(found.items()):
        # The first half of what each head hears is known, the second are strangers.
        known, strangers = (
            [
                np.concatenate(part)
                for part in zip(*(np.split(np.array(head), 2, axis=1)[side] for head in heads), strict=True)
            ]
            for side in (0, 1)
        )
        right, kept, named = known[1].mean(), (known[1] * (known[0] >= 0.5)).mean(), (strangers[0] >= 0.5).mean()
        print(
            f"{folder.name}: {num_labels} labels, {clips:g} clips, {method}: {right:.1%} right, {kept:.1%} named "
            f"rightly, {named:.1%} of strangers named"
        )


def newton(x: np.ndarray, y: np.ndarray, steps: int = 20) -> tuple[float, ...]:
    """Logistic regression with next to no penalty."""
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-x @ beta))
        hessian = (x * (chance * (1 - chance))[:, None]).T @ x + 1e-6 * np.eye(len(beta))
        beta -= np.linalg.solve(hessian, x.T @ (chance - y) + 1e-6 * beta)
    return tuple(beta.tolist())


if __name__ == "__main__":
    main()
