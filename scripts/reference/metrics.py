"""Correlations, p-values, F1, errors and intervals of scipy and scikit-learn; p-values beyond f64 by mpmath."""

from pathlib import Path
from typing import Callable

import mpmath
import numpy as np
from scipy import stats
from sklearn.metrics import f1_score, mean_squared_error

from files import write_json

THRESHOLD = 3.0
mpmath.mp.dps = 80

SHORT: dict[str, tuple[list[float], list[float]]] = {
    "three pairs": ([0.0, 2.5, 5.0], [1.0, 1.5, 4.25]),
    "three pairs, opposed": ([0.0, 2.0, 5.0], [4.0, 3.75, -1.0]),
    "ties on both sides": ([0, 0, 1, 1, 1, 3, 3, 4, 5, 5], [0.5, 0.5, 0.5, 2, 1, 3, 2, 3, 3, 4.5]),
    "no correlation at all": ([1, 2, 3, 4, 5], [2, 4, 0, 4, 2]),
    "no score reaches the threshold": ([0.5, 1.0, 2.0, 2.9], [0.25, 0.5, 2.5, 2.0]),
    "no prediction reaches the threshold": ([0.5, 3.0, 4.0, 2.9], [0.25, 0.5, 2.5, 2.0]),
    "exactly at the threshold": ([3.0, 2.9999, 3.0, 1.0, 4.0], [3.0, 3.0, 2.9999, 0.0, 5.0]),
    "hardly varying": ([1.0, 1.0000000001, 1.0000000002, 1.0000000003], [5.0, 5.0, 5.0000000001, 5.0000000003]),
    "all but perfect": ([0, 1, 2, 3, 4, 5], [0.000001, 1, 2, 3, 4, 5]),
}

# Made by `generate`; the test makes the same numbers.
LONG: dict[str, dict] = {
    "like KorSTS test": {"seed": 1, "n": 1379, "signal": 0.8, "noise": 2.35, "shift": 0.3, "levels": 0},
    "like KLUE-STS dev": {"seed": 2, "n": 519, "signal": 0.7, "noise": 1.5, "shift": 0.9, "levels": 0},
    "negative": {"seed": 3, "n": 300, "signal": -0.5, "noise": 3.0, "shift": 3.0, "levels": 0},
    "weak": {"seed": 4, "n": 1000, "signal": 0.05, "noise": 3.0, "shift": 2.0, "levels": 0},
    "weak, of many": {"seed": 5, "n": 2000, "signal": 0.02, "noise": 2.0, "shift": 2.0, "levels": 0},
    "many ties": {"seed": 6, "n": 1500, "signal": 0.8, "noise": 2.0, "shift": 0.5, "levels": 1},
    "near the end of f64": {"seed": 7, "n": 1500, "signal": 0.8, "noise": 2.3, "shift": 0.0, "levels": 0},
    "beyond f64": {"seed": 8, "n": 2000, "signal": 0.9, "noise": 1.0, "shift": 0.0, "levels": 0},
    "far beyond f64": {"seed": 9, "n": 2000, "signal": 1.0, "noise": 0.04, "shift": 0.0, "levels": 0},
    "shifted far away": {"seed": 10, "n": 700, "signal": 0.9, "noise": 2.0, "shift": 1e6, "levels": 0},
    "thirty pairs": {"seed": 11, "n": 30, "signal": 0.8, "noise": 2.3, "shift": 0.0, "levels": 0},
}
BOOTSTRAPPED = ["like KorSTS test", "thirty pairs"]
RESAMPLES = 9_999


def generate(seed: int, n: int, signal: float, noise: float, shift: float, levels: int) -> tuple[list[float], list[float]]:
    """Labels in tenths and noisy predictions, by a recurrence that any language repeats to the last bit."""
    state = seed

    def uniform() -> float:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 11) / 2**53

    labels, predictions = [], []
    for _ in range(n):
        label = float(np.floor(uniform() * 51)) / 10
        prediction = signal * label + noise * (uniform() + uniform() - 1) + shift
        labels.append(label)
        predictions.append(float(np.floor(prediction * levels)) / levels if levels else prediction)
    return labels, predictions


def exact(x: np.ndarray, y: np.ndarray) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Pearson's r and its two-sided p-value, I_{1 - r^2}(n/2 - 1, 1/2), to many more digits than f64 holds."""
    x, y = [[mpmath.mpf(float(v)) for v in values] for values in (x, y)]
    n = len(x)
    x, y = [[v - mpmath.fsum(values) / n for v in values] for values in (x, y)]
    xy = mpmath.fdot(x, y)
    rest = 1 - xy**2 / (mpmath.fdot(x, x) * mpmath.fdot(y, y))
    r = xy / mpmath.sqrt(mpmath.fdot(x, x) * mpmath.fdot(y, y))
    return r, mpmath.betainc(mpmath.mpf(n) / 2 - 1, mpmath.mpf(1) / 2, 0, rest, regularized=True)


def correlation(name: str, x: np.ndarray, y: np.ndarray, scipy_result: tuple[float, float]) -> dict:
    """The exact figures, held against scipy's wherever f64 can hold those."""
    r, p = exact(x, y)
    statistic, p_value = map(float, scipy_result)
    assert abs(statistic - r) < 1e-12, (name, statistic, r)
    if p == 0:  # r is 1 or -1
        assert p_value < 1e-15, (name, p_value)
        return {"r": float(r), "p_value": 0.0, "log10_p": None}
    off = float(abs(p_value - p) / p)
    if off > 1e-9:
        print(f"  {name}: p = {mpmath.nstr(p, 6)}, scipy's is off by {off:.1e}")
    # Beyond these, scipy's f64 runs out: p is too small for it, or r is too close to 1.
    assert off < 1e-7 or p < 1e-250 or 1 - abs(r) < 1e-6, (name, p_value, p)
    return {"r": float(r), "p_value": float(p), "log10_p": float(mpmath.log10(p))}


def figures(name: str, labels: list[float], predictions: list[float]) -> dict:
    x, y = np.array(labels, dtype=np.float64), np.array(predictions, dtype=np.float64)
    ranks = stats.rankdata(x), stats.rankdata(y)
    positive = x >= THRESHOLD, y >= THRESHOLD
    return {
        "pearson": correlation(f"{name}, Pearson", x, y, stats.pearsonr(x, y)),
        "spearman": correlation(f"{name}, Spearman", *ranks, stats.spearmanr(x, y)),
        "f1": float(f1_score(*positive, zero_division=0)),
        "mse": float(mean_squared_error(x, y)),
    }


def interval(labels: list[float], predictions: list[float], prepare: Callable) -> list[float]:
    """scipy's percentile bootstrap of the correlation of `prepare`d resamples, pairs drawn together."""

    def statistic(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return stats.pearsonr(prepare(x), prepare(y), axis=axis).statistic

    result = stats.bootstrap(
        (np.array(labels), np.array(predictions)),
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=0.95,
        n_resamples=RESAMPLES,
        batch=500,
        rng=np.random.default_rng(42),
    )
    return [float(bound) for bound in result.confidence_interval]


def make(output: Path) -> None:
    print("scipy's p-values that are off by more than 1e-9:")
    cases = [
        {"name": name, "labels": labels, "predictions": predictions, **figures(name, labels, predictions)}
        for name, (labels, predictions) in SHORT.items()
    ]
    cases += [{"name": name, "generate": spec, **figures(name, *generate(**spec))} for name, spec in LONG.items()]
    for case in cases:
        both = "; ".join(f"r {case[k]['r']:.4f}, log10 p {case[k]['log10_p']}" for k in ("pearson", "spearman"))
        print(f"{case['name']}: {both}; F1 {case['f1']:.3f}")
    intervals = [
        {
            "case": name,
            "pearson": interval(*generate(**LONG[name]), lambda values: values),
            "spearman": interval(*generate(**LONG[name]), lambda values: stats.rankdata(values, axis=-1)),
        }
        for name in BOOTSTRAPPED
    ]
    write_json(output, {"threshold": THRESHOLD, "cases": cases, "resamples": RESAMPLES, "intervals": intervals})
