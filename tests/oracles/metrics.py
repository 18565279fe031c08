"""Metrics and scores of pairs written out from their definitions: float64, one clip, threshold or pair at a time."""

import math

import numpy as np
from scipy import integrate, optimize, stats

# Classification.


def accuracy(truth, predicted):
    return sum(t == p for t, p in zip(truth, predicted, strict=True)) / len(truth)


def uar(truth, predicted):
    recalls = []
    for label in set(truth):
        told = [p for t, p in zip(truth, predicted, strict=True) if t == label]
        recalls.append(sum(p == label for p in told) / len(told))
    return sum(recalls) / len(recalls)


def micro_f1(truth, predicted):
    hits = misses = false_alarms = 0
    for label in {*truth, *predicted}:
        for t, p in zip(truth, predicted, strict=True):
            hits += t == label == p
            misses += t == label != p
            false_alarms += t != label == p
    return 2 * hits / (2 * hits + misses + false_alarms)


# Regression.


def mae(truth, predicted):
    return sum(abs(t - p) for t, p in zip(truth, predicted, strict=True)) / len(truth)


def ccc(truth, predicted):
    """Lin 1989, equation 1: one less the expected square of the difference, over that without correlation."""
    n = len(truth)
    mean_t, mean_p = sum(truth) / n, sum(predicted) / n
    variance_t = sum((t - mean_t) ** 2 for t in truth) / n
    variance_p = sum((p - mean_p) ** 2 for p in predicted) / n
    squared = sum((t - p) ** 2 for t, p in zip(truth, predicted, strict=True)) / n
    return 1 - squared / (variance_t + variance_p + (mean_t - mean_p) ** 2)


# Verification.


def rates(truth, predicted, threshold):
    """Shares of other speakers accepted and of same speakers rejected, accepting scores from the threshold up."""
    same = [p for t, p in zip(truth, predicted, strict=True) if t]
    other = [p for t, p in zip(truth, predicted, strict=True) if not t]
    return sum(p >= threshold for p in other) / len(other), sum(p < threshold for p in same) / len(same)


def eer(truth, predicted):
    """Walk down the thresholds; on the straight way between two, stop where the rates are equal."""
    x0, y0 = 0.0, 1.0
    for threshold in sorted(set(predicted), reverse=True):
        x1, y1 = rates(truth, predicted, threshold)
        if x1 >= y1:
            share = (y0 - x0) / ((y0 - x0) + (x1 - y1))
            return x0 + share * (x1 - x0)
        x0, y0 = x1, y1
    raise AssertionError


def d_prime(truth, predicted):
    """The area is the share of (same, other) in which the same scores higher, a tie counting half."""
    same = [p for t, p in zip(truth, predicted, strict=True) if t]
    other = [p for t, p in zip(truth, predicted, strict=True) if not t]
    pairs = len(same) * len(other)
    area = sum((s > o) + (s == o) / 2 for s in same for o in other) / pairs
    area = min(max(area, 1 / (2 * pairs)), 1 - 1 / (2 * pairs))
    return math.sqrt(2) * optimize.brentq(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2 - area, -9, 9, xtol=1e-13)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def log_density(x, mean, covariance):
    """Of a normal vector."""
    difference = x - mean
    _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return -0.5 * (log_determinant + difference @ np.linalg.inv(covariance) @ difference)


def log_likelihood_ratio(a, b, mean, within, between):
    """One hidden vector behind both, against one behind each: two normal densities of the two vectors together."""
    both, means = np.concatenate([a, b]), np.concatenate([mean, mean])
    total = within + between
    same = np.block([[total, between], [between, total]])
    other = np.block([[total, np.zeros_like(total)], [np.zeros_like(total), total]])
    return log_density(both, means, same) - log_density(both, means, other)


def analytic_eer(dim, between):
    """Of the log-likelihood ratio itself, within-covariance 1 and between-covariance `between`, in all dimensions.

    Turned by 45 degrees, the ratio of a pair is alpha S - beta T + constant, where S and T are sums of squares of the
    sum and of the difference of the two vectors over √2: variances 1 + 2b and 1 for the same speaker, 1 + b and 1 + b
    for another. The threshold at which both errors are equal is found by quadrature and bisection.
    """
    squares = between**2 / (2 * (1 + between) * (1 + 2 * between))
    alpha, beta = between / (1 + 2 * between) / 2 - squares, between / (1 + 2 * between) / 2 + squares

    def accepted(threshold, variance_s, variance_t):
        """P(alpha S - beta T > threshold)."""

        def density(t):
            above = stats.chi2.sf((threshold + beta * variance_t * t) / (alpha * variance_s), dim)
            return stats.chi2.pdf(t, dim) * above

        return integrate.quad(density, 0, stats.chi2.isf(1e-12, dim), limit=500)[0]

    def excess(threshold):
        return accepted(threshold, 1 + between, 1 + between) - (1 - accepted(threshold, 1 + 2 * between, 1))

    return accepted(optimize.brentq(excess, -20 * dim, 20 * dim), 1 + between, 1 + between)
