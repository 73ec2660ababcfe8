"""Charts of an exploration over time and lags: autocorrelation, volatility, prices with regimes, and their projection."""

from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.reports.exploration.figures import charted
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import AXIS, DASHES, N_COLOURS, Chart, Line, blank, drawable, height_of, safe, spec_of

# Lines of the volatility chart that are visible at first.
N_SHOWN = 3
REGIME_COLOURS = tuple(f"var(--series-{number})" for number in range(1, N_COLOURS + 1))


def autocorrelation_charts(results: Mapping[str, Any]) -> list[Chart]:
    """Autocorrelation of returns and of absolute returns of each symbol."""
    found = results["autocorrelation"]
    names = [symbol for symbol in charted(results) if symbol in found]
    shown = [x for name in names for key in ("returns", "absolute") for x in found[name][key] if fmt.known(x)]
    limits = [min([*shown, -0.05]) - 0.02, max([*shown, 0.1]) + 0.03]
    return [_autocorrelation_chart(i, name, found[name], results["data"]["interval"], limits) for i, name in enumerate(names)]


def _autocorrelation_chart(i: int, symbol: str, found: Mapping[str, Any], interval: str, limits: Sequence[float]) -> Chart:
    figure = blank(240)
    lags = list(range(1, len(found["returns"]) + 1))
    for bound in (found["bound"], -found["bound"]):
        figure.add_scatter(
            x=[lags[0], lags[-1]],
            y=[bound, bound],
            mode="lines",
            hoverinfo="skip",
            line={"color": "var(--ink-2)", "width": 1, "dash": "dot"},
        )
    for key, colour, label in (("returns", "var(--raw)", "returns"), ("absolute", "var(--matched)", "|returns|")):
        figure.add_scatter(
            x=lags,
            y=drawable(found[key]),
            mode="lines+markers" if len(lags) < 30 else "lines",
            hoverinfo="text",
            line={"color": colour, "width": 1.8},
            hovertext=[
                f"{label}, {fmt.count(lag)} bars apart: {fmt.ratio(value)}" for lag, value in zip(lags, found[key], strict=True)
            ],
        )
    figure.update_layout(margin={"l": 44}, xaxis={"nticks": 8}, yaxis={"range": limits, "nticks": 6, "showgrid": True})
    at = min(24, len(lags))
    return Chart(
        f"acf-{i}",
        f"{symbol}: {fmt.count(at)} bars apart, |returns| correlate {fmt.ratio(found['absolute'][at - 1])}, "
        f"returns {fmt.ratio(found['returns'][at - 1])}",
        f"autocorrelation by bars of {interval} apart; dotted: 95 % bounds of white noise; n = {fmt.count(found['n'])} returns",
        spec_of(figure),
        height_of(figure),
    )


def volatility_chart(results: Mapping[str, Any]) -> Chart | None:
    """Rolling annual volatility of every symbol; None if it is not known."""
    found = results["volatility"]
    names = [name for name in charted(results) if any(fmt.known(x) for x in found["annual"][name])]
    if not names:
        return None
    figure = blank(360)
    legend = []
    for place, name in enumerate(names):
        colour, dash = f"var(--series-{place % N_COLOURS + 1})", DASHES[place // N_COLOURS % len(DASHES)]
        values = found["annual"][name]
        figure.add_scatter(
            y=drawable(values),
            **_grid(found),
            mode="lines",
            visible=place < N_SHOWN,
            name=safe(name, 60),
            hovertemplate="%{y:.0%}",
            line={"color": colour, "width": 1.5, "dash": dash},
        )
        known = [x for x in values if fmt.known(x)]
        legend.append(Line(name, (place,), colour, dash, place < N_SHOWN, "mean " + fmt.percent(sum(known) / len(known), 0)))
    figure.update_layout(
        hovermode="x unified",
        dragmode="zoom",
        margin={"l": 50},
        yaxis={"type": "log", "dtick": "D2", "tickformat": ",.0%", "showgrid": True},
        xaxis={"type": "date", "fixedrange": False, "nticks": 8},
    )
    return Chart(
        "volatility",
        f"Volatility of each symbol, rolling over {fmt.count(found['window'])} bars",
        f"standard deviation of log returns, annualised by 365 days, log scale; {_stretches(found)}, mean of each; "
        f"n = {fmt.count(results['data']['n_bars'])} bars; press a name to show or hide it",
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )


def price_charts(results: Mapping[str, Any]) -> list[Chart]:
    """Close of each symbol on a log scale, coloured by regime."""
    return [_price_chart(i, symbol, results) for i, symbol in enumerate(charted(results))]


def _price_chart(i: int, symbol: str, results: Mapping[str, Any]) -> Chart:
    found, regimes = results["prices"], results["regimes"]
    close = found["close"][symbol]
    figure = blank(300)
    figure.add_scatter(
        y=drawable(close),
        **_grid(found),
        mode="lines",
        line={"color": "var(--axis)", "width": 1.2},
        connectgaps=False,
        hovertemplate="%{y:,.5~r}<br>%{x}<extra></extra>",
    )
    shares = ""
    if regimes:
        labels = found["regime"][symbol]
        for k, colour in enumerate(REGIME_COLOURS[: len(regimes["names"])]):
            figure.add_scatter(
                y=drawable(_of_regime(close, labels, k)),
                **_grid(found),
                mode="lines",
                line={"color": colour, "width": 1.9},
                hoverinfo="skip",
            )
        own = regimes["by_symbol"][symbol]
        shares = ": " + ", ".join(f"{name} {fmt.percent(share, 0)}" for name, share in zip(regimes["names"], own, strict=True))
    known = [x for x in close if fmt.known(x)]
    decades = known and max(known) / min(known) > 8
    figure.update_layout(
        dragmode="zoom",
        margin={"l": 58},
        xaxis={"type": "date", "fixedrange": False, "nticks": 6},
        yaxis={"type": "log", "showgrid": True, "tickformat": ",.4~r", **({"dtick": "D2"} if decades else {"nticks": 6})},
    )
    listed = results["data"]["listed"][symbol]
    return Chart(
        f"price-{i}",
        symbol + shares,
        f"close in quote currency, log scale; {_stretches(found)}, last close of each"
        + (", coloured by its most frequent regime" if regimes else "")
        + f"; n = {fmt.count(listed['n_bars'])} bars",
        spec_of(figure),
        height_of(figure),
    )


def _of_regime(close: Sequence[float | None], labels: Sequence[int | None], k: int) -> list[float | None]:
    """Closes of the line of one regime: its own points, and the point before it begins; None elsewhere."""
    last = len(close) - 1
    return [
        value if label == k or (t < last and labels[t + 1] == k and (t == 0 or labels[t - 1] != k)) else None
        for t, (value, label) in enumerate(zip(close, labels, strict=True))
    ]


def projection_chart(results: Mapping[str, Any]) -> Chart | None:
    """Feature rows on two principal components, coloured by regime; None without a projection."""
    found, regimes = results["projection"], results["regimes"]
    if not found:
        return None
    figure = blank(460)
    legend = []
    for k, name in enumerate(regimes["names"]):
        points = [point for point, label in zip(found["points"], found["regime"], strict=True) if label == k]
        figure.add_scatter(
            x=drawable(point[0] for point in points),
            y=drawable(point[1] for point in points),
            mode="markers",
            hoverinfo="skip",
            marker={"color": REGIME_COLOURS[k % N_COLOURS], "size": 4.5, "opacity": 0.6},
        )
        share = fmt.percent(regimes["share"][name], 0)
        legend.append(Line(name, (k,), REGIME_COLOURS[k % N_COLOURS], "solid", True, share))
    limits = [_middle([point[j] for point in found["points"]]) for j in range(2)]
    names = [f"component {j + 1}, {fmt.percent(found['explained'][j], 0)} of the variance" for j in range(2)]
    figure.update_layout(
        margin={"l": 52, "b": 52},
        xaxis={"range": limits[0], "title": {"text": names[0]}, "showgrid": True},
        yaxis=AXIS | {"range": limits[1], "title": {"text": names[1]}, "showgrid": True},
    )
    outside = sum(any(not low <= x <= high for x, (low, high) in zip(p, limits, strict=True)) for p in found["points"])
    return Chart(
        "projection",
        f"Two components explain {fmt.percent(sum(found['explained']), 0)} of the variance of {len(found['features'])} features",
        f"principal components of the feature rows, each feature in robust standard deviations of its symbol, clipped at 10; "
        f"n = {fmt.count(found['n'])} rows, of which {fmt.count(len(found['points']))} are drawn at random, "
        f"{fmt.count(outside)} of them outside the axes; press a name to show or hide it",
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )


def _middle(values: Sequence[float]) -> list[float]:
    """Axis limits from the 1 % to the 99 % quantile, with a margin."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 100], ordered[-1 - len(ordered) // 100]
    margin = 0.08 * (high - low) or 1.0
    return [low - margin, high + margin]


def _grid(found: Mapping[str, Any]) -> dict[str, Any]:
    """The regular times of a path for plotly: a first time and a step in ms."""
    return {"x0": found["start"][:19], "dx": 1e3 * found["seconds_per_point"]}


def _stretches(found: Mapping[str, Any]) -> str:
    per_point = found["bars_per_point"]
    return "every bar drawn" if per_point == 1 else f"thinned for drawing to runs of {fmt.count(per_point)} bars"
