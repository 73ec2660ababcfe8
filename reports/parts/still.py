"""Charts outside a page: plotly figures for notebooks, and image files."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.data.system.disk import write_whole, writing
from foreshock.reports.parts.chart import Chart, safe

FORMATS = ("svg", "png", "pdf")
WIDTH = 960
VARIABLE = re.compile(r"var\((--[a-z0-9-]+)\)")


def every_chart(charts: Mapping[str, Any]) -> Iterator[Chart]:
    """All charts of a page, including those in lists and mappings."""
    for part in charts.values():
        if isinstance(part, Chart):
            yield part
        elif isinstance(part, Mapping):
            yield from every_chart(part)
        elif isinstance(part, list):
            yield from (one for one in part if isinstance(one, Chart))


def figure_of(chart: Chart) -> go.Figure:
    """A chart as a plotly figure in light colours, with its title, its note and its legend."""
    spec = json.loads(VARIABLE.sub(lambda found: _light()[found[1]], chart.spec))
    layout, traces = spec["layout"], spec["data"]
    shared = (layout.get("meta") or {}).get("x")
    for trace in traces:
        trace["showlegend"] = False
        if shared and "x0" not in trace:
            trace.setdefault("x", shared)
    for line in chart.legend:
        for place, i in enumerate(line.traces):
            traces[i] |= {"name": safe(line.name, 60), "legendgroup": line.name, "showlegend": place == 0}
            traces[i]["visible"] = True if line.shown else "legendonly"
    title = {"text": safe(chart.title, 200), "subtitle": {"text": safe(chart.note, 160)}, "x": 0.01, "xanchor": "left"}
    margin = layout.get("margin") or {}
    layout |= {"title": title, "showlegend": bool(chart.legend), "margin": {**margin, "t": 84}, "width": None}
    layout |= {"height": chart.height + 76, "paper_bgcolor": _light()["--paper"], "plot_bgcolor": _light()["--paper"]}
    return go.Figure(spec)


def save_figures(charts: Iterable[Chart], folder: str | os.PathLike[str], kind: str = "svg", width: int = WIDTH) -> list[Path]:
    """Write a picture of each chart.

    Parameters
    ----------
    charts : iterable of Chart
        Charts to write.
    folder : path
        Folder of the files; it is created.
    kind : str
        File format, "svg", "png" or "pdf".
    width : int
        Width of a picture in px.

    Returns
    -------
    list of Path
        One file for each chart.

    Raises
    ------
    ConfigError
        If ``kind`` is another format, or kaleido is not installed.
    """
    if kind not in FORMATS:
        raise ConfigError(f"kind must be one of {', '.join(FORMATS)}, got {shown(kind)}")
    if find_spec("kaleido") is None:
        raise ConfigError('pictures are drawn by kaleido, which is not installed; run pip install "foreshock[figures]"')
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    figures = {folder / f"{chart.name}.{kind}": figure_of(chart) for chart in charts}
    import kaleido

    scale = 2 if kind == "png" else 1
    for path, figure in figures.items():
        figure.update_layout(width=width)
        write_whole(path, kaleido.calc_fig_sync(figure, opts={"format": kind, "scale": scale}))
    return list(figures)


@cache
def _light() -> dict[str, str]:
    """Colours of the style sheet by variable, in light mode."""
    css = resources.files("foreshock.reports").joinpath("assets", "report.css").read_text(encoding="utf-8")
    return dict(re.findall(r"(--[a-z0-9-]+):\s*([^;]+);", css[: css.index("@media")]))
