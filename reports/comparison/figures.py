"""The charts of a comparison: ranks over the years, and the critical difference."""

from collections.abc import Mapping
from typing import Any

from foreshock.reports.comparison.tables import FRIEDMAN_BLOCKS, detectors_of, is_baseline, ratio_words
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import DASHES, N_COLOURS, ROW, Chart, Line, blank, drawable, height_of, name_rows, safe, spec_of

# Lines of the rank chart that are visible at first: the best mean ranks, without baselines.
N_SHOWN = 5


def rank_chart(i: int, study: Mapping[str, Any]) -> Chart | None:
    """Rank of each detector in each year; None with fewer than two years."""
    years = study["ranks"]["year"]
    if len(years) < 2:
        return None
    places = list(range(len(years)))
    ranks = {label: [row.get(label) for row in years.values()] for label in detectors_of(study)}
    ranks = {label: found for label, found in ranks.items() if any(rank is not None for rank in found)}
    mean = {label: _mean(found) for label, found in ranks.items()}
    figure = blank(max(len(ranks) * 26 + 70, 240))
    legend, n_shown = [], 0
    for place, label in enumerate(sorted(ranks, key=lambda label: (is_baseline(study, label), mean[label]))):
        passive = is_baseline(study, label)
        shown = n_shown < N_SHOWN and not passive
        n_shown += shown
        colour = "var(--ink-2)" if passive else f"var(--series-{place % N_COLOURS + 1})"
        dash = "dot" if passive else DASHES[place // N_COLOURS % len(DASHES)]
        figure.add_scatter(
            x=places,
            y=ranks[label],
            mode="lines+markers",
            visible=shown,
            hoverinfo="text",
            line={"color": colour, "width": 2, "dash": dash},
            marker={"color": colour, "size": 9},
            hovertext=[
                f"{safe(label, 60)}, {safe(year)}: rank {fmt.number(rank)}" for year, rank in zip(years, ranks[label], strict=True)
            ],
        )
        legend.append(Line(label, (place,), colour, dash, shown, f"mean {fmt.ratio(mean[label])}"))
    lowest = max(rank for found in ranks.values() for rank in found if rank is not None)
    figure.update_layout(
        margin={"l": 32},
        xaxis={
            "tickmode": "array",
            "tickvals": places,
            "ticktext": [safe(year) for year in years],
            "range": [-0.3, len(years) - 0.7],
        },
        yaxis={"range": [lowest + 0.6, 0.4], "dtick": 1, "showgrid": True},
    )
    tau = study["stability"]["year"]
    return Chart(
        f"rank-{i}",
        f"Ranks from year to year: Kendall's tau {fmt.ratio(tau['mean_tau'])} on average",
        f"rank by {ratio_words(study)}, 1 is the largest; tau is 1 for the same order, 0 for an unrelated one; "
        f"n = {fmt.count(len(years))} years, {fmt.counted(len(ranks), 'detector')}; press a name to show or hide it",
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )


def critical_chart(i: int, study: Mapping[str, Any], by: str) -> Chart | None:
    """Mean rank of each detector, and bars that join detectors which do not differ; None without a comparison."""
    found = study["rank_comparison"][by]
    if found["reason"] is not None:
        return None
    names, means, apart = found["names"], found["mean_ranks"], found["critical_difference"]
    groups = found["groups"]
    # One more row at the top shows the length of the critical difference.
    figure = blank((len(names) + 1) * ROW + 56)
    figure.add_scatter(
        x=[means[0], means[0] + apart],
        y=[-1, -1],
        mode="lines+markers",
        hoverinfo="skip",
        line={"color": "var(--raw)", "width": 2},
        marker={"symbol": "line-ns", "size": 12, "line": {"color": "var(--raw)", "width": 2}},
    )
    right = max([*means, means[0] + apart])
    step = 0.05 * (right - means[0] or 1.0)
    bars = [(right + (k + 1) * step, names.index(group[0]), names.index(group[-1])) for k, group in enumerate(groups)]
    figure.add_scatter(
        x=drawable(x for x, _, _ in bars for x in (x, x, None)),
        y=[y for _, top, bottom in bars for y in (top - 0.2, bottom + 0.2, None)],
        mode="lines",
        hoverinfo="skip",
        line={"color": "var(--ink-2)", "width": 5},
    )
    figure.add_scatter(
        x=drawable(means),
        y=list(range(len(names))),
        mode="markers",
        hoverinfo="text",
        marker={"symbol": "diamond", "size": 11, "color": "var(--matched)"},
        hovertext=[f"{safe(name, 60)}: mean rank {fmt.ratio(mean)}" for name, mean in zip(names, means, strict=True)],
    )
    name_rows(figure, names)
    figure.update_layout(
        xaxis={"range": [means[0] - step, right + (len(groups) + 1) * step], "nticks": 7, "showgrid": True},
        yaxis={"range": [len(names) - 0.4, -1.7]},
        annotations=[
            {
                "x": means[0] + apart / 2,
                "y": -1,
                "yshift": 11,
                "showarrow": False,
                "text": f"critical difference {fmt.ratio(apart)}",
                "font": {"color": "var(--raw)"},
            }
        ],
    )
    n_pairs = sum(1 for a in range(len(means)) for b in range(a) if means[a] - means[b] > apart)
    every = len(means) * (len(means) - 1) // 2
    title = f"{fmt.count(n_pairs)} of {fmt.counted(every, 'pair')} of detectors differ by more than the critical difference"
    if found["p_value"] > found["level"]:
        # The critical difference is only valid after Friedman's test finds a difference.
        title = "Friedman's test finds no difference between the detectors" + (f", though {title}" if n_pairs else "")
    return Chart(
        f"critical-{by}-{i}",
        title,
        f"◆ mean rank, 1 is the largest ratio; a grey bar joins detectors that do not differ at 5 %; Friedman's p "
        f"{fmt.p_value(found['p_value'])}; n = {fmt.count(found['n_blocks'])} blocks, {FRIEDMAN_BLOCKS[by]}",
        spec_of(figure),
        height_of(figure),
    )


def _mean(ranks: list[float | None]) -> float:
    known = [rank for rank in ranks if rank is not None]
    return sum(known) / len(known)
