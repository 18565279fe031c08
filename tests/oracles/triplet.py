"""The triplet objective from its definition (Shor et al. 2020, section 3.1), one row at a time."""

import math


def squared_distances(embeddings):
    """Of each pair of rows divided by their lengths; a row of zeros stays one."""
    units = []
    for row in embeddings:
        length = math.sqrt(math.fsum(float(value) ** 2 for value in row))
        units.append([float(value) / (length or 1.0) for value in row])
    zero = [not any(row) for row in units]
    return [
        [
            2.0 if zero[i] or zero[j] else math.fsum((a - b) ** 2 for a, b in zip(units[i], units[j], strict=True))
            for j in range(len(units))
        ]
        for i in range(len(units))
    ]


def semi_hard(distances, clips, max_positives):
    """The triplets that count, (anchor, positive, negative).

    For each anchor and each of the first `max_positives` other rows of its clip: of the rows of other clips that are
    strictly farther than the positive the closest, or if there is none the farthest row of another clip. Of several at
    the same distance the first.
    """
    triplets = []
    for anchor in range(len(clips)):
        positives = [row for row in range(len(clips)) if clips[row] == clips[anchor] and row != anchor]
        negatives = [row for row in range(len(clips)) if clips[row] != clips[anchor]]
        for positive in positives[:max_positives]:
            if not negatives:
                continue
            chosen = None
            for row in negatives:
                if distances[anchor][row] > distances[anchor][positive] and (
                    chosen is None or distances[anchor][row] < distances[anchor][chosen]
                ):
                    chosen = row
            if chosen is None:
                for row in negatives:
                    if chosen is None or distances[anchor][row] > distances[anchor][chosen]:
                        chosen = row
            triplets.append((anchor, positive, chosen))
    return triplets


def objective(distances, clips, margin, max_positives):
    """Mean hinge of the triplets that count, and the share of them whose hinge is not 0; both 0 if none counts."""
    losses = []
    for anchor, positive, negative in semi_hard(distances, clips, max_positives):
        losses.append(max(0.0, float(distances[anchor][positive]) - float(distances[anchor][negative]) + margin))
    count = len(losses) or 1
    return {"loss": math.fsum(losses) / count, "violating": sum(loss > 0 for loss in losses) / count}
