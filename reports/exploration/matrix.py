"""The scatter matrix of the features as vector graphics: cells are darker the more rows they hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import words

SIDE, GAP, LEFT, BOTTOM = 150, 10, 66, 40
LEVELS = 5
UNITS = {
    "log_return": ("log return", fmt.percent),
    "volatility_20": ("20-bar volatility", fmt.percent),
    "range": ("range", fmt.percent),
    "volume_change": ("log volume change", fmt.ratio),
    "volume_ratio_20": ("volume over its mean", fmt.ratio),
    "return_24": ("24-bar log return", fmt.percent),
}


@dataclass(frozen=True)
class MatrixPanel:
    """One pair of features, or one feature on the diagonal: position, paths by darkness, and hover text."""

    x: int
    y: int
    paths: list[tuple[int, str]]
    words: str


@dataclass(frozen=True)
class Label:
    """A text with position and anchor; ``turned`` texts are vertical, ``strong`` ones bold."""

    x: float
    y: float
    text: str
    anchor: str
    turned: bool = False
    strong: bool = False


@dataclass(frozen=True)
class Matrix:
    """All panels of the scatter matrix."""

    name: str
    title: str
    note: str
    width: int
    height: int
    side: int
    panels: list[MatrixPanel]
    labels: list[Label]


def scatter_matrix(results: Mapping[str, Any]) -> Matrix | None:
    """Every pair of the paired features; None without a pair."""
    found = results["scatter"]
    if not found or len(found["names"]) < 2:
        return None
    names = found["names"]
    n_cells = len(found["counts"][names[0]])
    spearman, order = results["features"]["spearman"], results["features"]["names"]
    panels, labels = [], []
    for i, below in enumerate(names):
        for j, beside in enumerate(names[: i + 1]):
            x, y = LEFT + j * (SIDE + GAP), i * (SIDE + GAP)
            if i == j:
                panels.append(MatrixPanel(x, y, [(LEVELS, _bars(found["counts"][below]))], f"Histogram of {_name(below)}"))
                continue
            rho = spearman[order.index(beside)][order.index(below)]
            said = f"{_name(below)} against {_name(beside)}: rank correlation {fmt.ratio(rho)}"
            panels.append(MatrixPanel(x, y, _cells(found["cells"][f"{beside} {below}"], n_cells), said))
            labels.append(Label(x + SIDE - 6, y + 16, fmt.ratio(rho), "end", strong=True))
    low = (len(names) - 1) * (SIDE + GAP) + SIDE
    for i, name in enumerate(names):
        ends = [_write(name, found["edges"][name][k]) for k in (0, -1)]
        left, top = LEFT + i * (SIDE + GAP), i * (SIDE + GAP)
        labels += [
            Label(left, low + 14, ends[0], "start"),
            Label(left + SIDE, low + 14, ends[1], "end"),
            Label(left + SIDE / 2, low + 31, _name(name), "middle", strong=True),
        ]
        if i:
            labels += [
                Label(LEFT - 22, top + SIDE / 2, _name(name), "middle", turned=True, strong=True),
                Label(LEFT - 6, top + SIDE - 2, ends[0], "end"),
                Label(LEFT - 6, top + 11, ends[1], "end"),
            ]
    logs = ", ".join(_name(name) for name in found["log"])
    return Matrix(
        "scatter",
        _title(names, order, spearman),
        f"each cell is darker the more rows it holds, in steps of {_factor(found)} times; number: rank correlation; axes leave "
        f"out one row in a thousand at each end"
        + (f"; log scale for {logs}" if logs else "")
        + f"; n = {fmt.count(found['n'])} rows, all drawn",
        LEFT + len(names) * (SIDE + GAP),
        low + BOTTOM,
        SIDE,
        panels,
        labels,
    )


def _title(names: Sequence[str], order: Sequence[str], spearman: Sequence[Sequence[float | None]]) -> str:
    pairs = {(a, b): spearman[order.index(a)][order.index(b)] or 0.0 for i, b in enumerate(names) for a in names[:i]}
    (a, b), rho = max(pairs.items(), key=lambda pair: abs(pair[1]))
    return f"{_name(a)} and {_name(b)} are the most correlated of {len(names)} features: rank correlation {fmt.ratio(rho)}"


def _name(feature: str) -> str:
    return UNITS[feature][0] if feature in UNITS else words(feature).lower()


def _write(feature: str, value: float) -> str:
    return UNITS[feature][1](value) if feature in UNITS else fmt.number(value)


def _step(counts: Sequence[int]) -> float:
    return max(math.log(max(counts) + 1) / LEVELS, 1e-9)


def _factor(found: Mapping[str, Any]) -> str:
    densest = max((cell[2] for cells in found["cells"].values() for cell in cells), default=1)
    return fmt.number(round(math.exp(_step([densest])), 1))


def _cells(cells: Sequence[Sequence[int]], n_cells: int) -> list[tuple[int, str]]:
    """One path for each darkness; adjacent cells of a row form one rectangle."""
    if not cells:
        return []
    size, step = SIDE / n_cells, _step([cell[2] for cell in cells])
    levels: dict[int, dict[int, list[int]]] = {}
    for x, y, count in cells:
        level = min(int(math.log(count) / step) + 1, LEVELS)
        levels.setdefault(level, {}).setdefault(y, []).append(x)
    paths = []
    for level in sorted(levels):
        parts = []
        for y, columns in levels[level].items():
            for first, length in _stretches(sorted(columns)):
                left, top, wide = first * size, SIDE - (y + 1) * size, length * size
                parts.append(f"M{left:.5g} {top:.5g}h{wide:.5g}v{size:.5g}h-{wide:.5g}z")
        paths.append((level, "".join(parts)))
    return paths


def _stretches(columns: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for column in columns:
        if found and column == found[-1][0] + found[-1][1]:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((column, 1))
    return found


def _bars(counts: Sequence[int]) -> str:
    size, most = SIDE / len(counts), max(*counts, 1)
    heights = [(k, SIDE * 0.94 * count / most) for k, count in enumerate(counts) if count]
    return "".join(f"M{k * size:.5g} {SIDE}v-{tall:.4g}h{size:.5g}v{tall:.4g}z" for k, tall in heights)
