"""The base of every chart, plotly JSON: the home of plotly.

Colours are names of style sheet variables, such as `var(--ink)`; the page's script replaces them with their values, so that a
chart follows light mode, dark mode and print. Names are escaped, because plotly renders a subset of HTML in texts. Titles are part
of the page, not of the figure.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

N_POINTS = 1500
N_POINTS_IN_ALL = 60_000
N_COLOURS = 8
DASHES = ("solid", "dash", "dashdot")
ROW = 34
AXIS = {
    "gridcolor": "var(--grid)",
    "zeroline": False,
    "linecolor": "var(--axis)",
    "tickcolor": "var(--axis)",
    "fixedrange": True,
    "automargin": True,
    "showgrid": False,
}


@dataclass(frozen=True)
class Line:
    """One entry of a legend: the traces it toggles, the look of its line, and a note after the name."""

    name: str
    traces: tuple[int, ...]
    colour: str
    dash: str
    shown: bool
    last: str


@dataclass(frozen=True)
class Chart:
    """A plotly figure as JSON, with its title, note and legend on the page."""

    name: str
    title: str
    note: str
    spec: str
    height: int
    legend: tuple[Line, ...] = ()


def safe(name: object, longest: int = 28) -> str:
    """A name escaped for plotly and shortened for an axis."""
    text = str(name)
    return html.escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def ratio_range(points: list[float], bounds: list[float]) -> tuple[float, float]:
    """Axis limits that include every ratio and 1.0; only intervals that reach far beyond these are cut."""
    low, high = min([*points, 1.0]), max([*points, 1.0])
    spread = max(high - low, 0.25)
    low = min(low, max(min(bounds, default=low), low - spread))
    high = max(high, min(max(bounds, default=high), high + spread))
    margin = 0.06 * (high - low) or 0.1
    return low - margin, high + margin


def thinned(equity: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Equity at the end of each run of bars, and the deepest drawdown (negative) within it; first and last bar are kept."""
    values = equity.to_numpy(dtype=float)
    drawdown = values / np.maximum(np.fmax.accumulate(values, axis=0), 1.0) - 1
    n_points = min(N_POINTS, max(N_POINTS_IN_ALL // max(equity.shape[1], 1), 50))
    ends = np.unique(np.linspace(0, len(equity) - 1, min(n_points, len(equity))).round().astype(int))
    deepest = np.fmin.reduceat(drawdown, np.r_[0, ends[:-1] + 1], axis=0)
    return equity.iloc[ends], pd.DataFrame(deepest, index=equity.index[ends], columns=equity.columns)


def blank(height: int) -> go.Figure:
    """A figure in the style of every page: no title, no legend, no background."""
    return go.Figure(
        layout={
            "template": go.layout.Template(),
            "height": height,
            "showlegend": False,
            "dragmode": False,
            "hovermode": "closest",
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": "var(--ink-2)", "size": 12.5},
            "margin": {"l": 8, "r": 14, "t": 8, "b": 34},
            "xaxis": AXIS,
            "yaxis": AXIS,
            "hoverlabel": {
                "bgcolor": "var(--paper)",
                "bordercolor": "var(--axis)",
                "font": {"color": "var(--ink)"},
                "align": "left",
                "namelength": -1,
            },
        }
    )


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Names as the rows of the y axis, the first on top."""
    figure.update_layout(
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": [safe(name) for name in names],
            "range": [len(names) - 0.4, -0.6],
            "tickfont": {"color": "var(--ink)"},
        }
    )


def reference_line(figure: go.Figure, value: float, n_rows: int) -> None:
    """A vertical line through all rows."""
    # This is a trace, because plotly draws shapes that are below the traces under the grid too.
    figure.add_scatter(
        x=[value, value], y=[-0.6, n_rows - 0.4], mode="lines", line={"color": "var(--ink-2)", "width": 1.3}, hoverinfo="skip"
    )


def drawable(values: Iterable[float | None]) -> list[float | None]:
    """Values rounded to five digits, None where not known; a list, because plotly writes arrays as base64."""
    return [None if value is None or not np.isfinite(value) else float(f"{value:.5g}") for value in values]


def height_of(figure: go.Figure) -> int:
    """Height of a figure, in px."""
    return int(figure.to_plotly_json()["layout"]["height"])


def spec_of(figure: go.Figure) -> str:
    """The figure as JSON, for ``Chart.spec``."""
    return str(figure.to_json(validate=False))
