"""The report of one study: verdicts, evidence, returns and provenance on one page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd

from foreshock.data.errors import ConfigError
from foreshock.engine.risk.forecasts.path import RiskPath
from foreshock.engine.validation.moves.lead_lag import CAP
from foreshock.engine.validation.rungs.result import LEAST_EVENTS
from foreshock.engine.validation.verdict import ADDS, CALMER, CANDIDATE, ECHOES, LEVEL, LOOKS_AHEAD, NOTHING, TOO_FEW, VOLUME_TELLS
from foreshock.reports.exploration import paths as eda_paths
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts import html
from foreshock.reports.parts.page import Page, first_of
from foreshock.reports.parts.records import trade_records
from foreshock.reports.parts.tables import quality_table, settings_table
from foreshock.reports.price.chart import PriceHistory
from foreshock.reports.study import (
    accounts,
    figures,
)
from foreshock.reports.study import (
    events as event_figures,
)
from foreshock.reports.study import (
    evidence as evidence_tables,
)
from foreshock.reports.study import (
    order as study_order,
)
from foreshock.reports.study import (
    own as own_things,
)
from foreshock.reports.study import (
    places as place_tables,
)
from foreshock.reports.study import (
    risk as risk_figures,
)
from foreshock.reports.study import (
    rungs as rung_tables,
)
from foreshock.reports.study import (
    sealed as sealed_tables,
)
from foreshock.reports.study import (
    tables as study_tables,
)
from foreshock.reports.study import (
    universe as universe_tables,
)
from foreshock.reports.study.signals import detection as labels_found
from foreshock.reports.study.signals import scores as score_figures

# Half a year: over fewer days, the standard error of an annual Sharpe ratio exceeds 1.4.
SHORT_DAYS = 182.5


@dataclass(frozen=True)
class StudyReport(Page):
    """One self-contained HTML page about a study.

    Parameters
    ----------
    title : str
        Heading of the page.
    results : dict
        Content of results.json: JSON types only, fractions, losses positive, None where not known. Every interval is a
        95 % interval. `detectors[NAME]["verdict_horizon"]` is the horizon of a verdict; without it, the last horizon listed.
    equity : DataFrame, shape (n_bars, n_strategies)
        Value of each strategy at each bar close (UTC without a zone), 1.0 at the start.
    quality : DataFrame
        Counts by symbol, which is the index.
    random_draws : dict
        For each avoidance strategy "n_draws", "total_returns" (of the draws, fractions) and "percentile": the share of draws
        with a lower total return, between 0 and 1, or None; and its 95 % "interval".
    command : str
        Command that runs the study again.
    risk_paths : dict of str to RiskPath
        Risk forecasts by strategy.
    trades : DataFrame
        Column ``strategy`` and the columns of ``closed_trades``.
    prices : PriceHistory, optional
        Bars, regimes and alerts of the full history.
    exposure : DataFrame, optional
        Value of the positions of each strategy as a fraction of its equity, at the times of ``equity``.

    Raises
    ------
    ConfigError
        If a percentile is not a fraction, or ``equity`` is not indexed by time.
    """

    template: ClassVar[str] = "study.html.j2"

    title: str
    results: dict[str, Any]
    equity: pd.DataFrame
    quality: pd.DataFrame
    random_draws: dict[str, dict[str, Any]]
    command: str
    risk_paths: Mapping[str, RiskPath] = field(default_factory=dict)
    trades: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"strategy": []}))
    prices: PriceHistory | None = None
    exposure: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for name, drawn in self.random_draws.items():
            share = drawn.get("percentile")
            if share is not None and not 0 <= share <= 1:
                raise ConfigError(f"percentile of {name} must be a fraction between 0 and 1, got {share}")
        if not isinstance(self.equity.index, pd.DatetimeIndex) and len(self.equity):
            raise ConfigError(f"equity must be indexed by time, got {type(self.equity.index).__name__}")

    def charts(self) -> dict[str, Any]:
        """Every chart of the page, by section: a Chart, a list of them, or None."""
        results = self.results
        return {
            "forward": figures.forward_charts(results),
            "ladder": figures.ladder_charts(results),
            "lead": figures.lead_charts(results),
            "equity": accounts.equity_chart(self.equity, results, self.exposure),
            "timing": accounts.timing_chart(results, self.random_draws),
            "alerts": figures.alert_chart(results),
            "after": event_figures.event_charts(results),
            "var": risk_figures.var_charts(self.risk_paths, results),
            "costs": risk_figures.cost_chart(results),
            "distribution": score_figures.distribution_charts(results),
            "deciles": score_figures.decile_charts(results),
            "projection": eda_paths.projection_chart(results) if results.get("projection") else None,
        }

    def headline(self) -> list[str]:
        """The findings in sentences: the first is the answer, the others qualify it."""
        return headline(self.results, self.random_draws)

    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data for the head of the page, as pairs of label and value."""
        return facts(self.results)

    def pieces(self) -> dict[str, Any]:
        """Further values of the template, besides title, headline, facts and command."""
        results = self.results
        tables = {
            "verdicts": study_tables.verdict_table(results),
            "rungs": rung_tables.rungs_table(results),
            "sealed": sealed_tables.sealed_table(results),
            "quality_of_forecasts": rung_tables.quality_of_forecasts(results),
            "gains": rung_tables.gains_table(results),
            "controls": rung_tables.controls_table(results),
            "every_control": rung_tables.every_control(results),
            "forward": study_tables.forward_table(results),
            "detection": labels_found.detection_table(results),
            "detection_kinds": labels_found.kinds_table(results),
            "detection_said": labels_found.said_table(results),
            "detection_pairs": labels_found.pairs_table(results),
            "profile": score_figures.profile_table(results),
            "distribution": score_figures.distribution_table(results),
            "deciles": score_figures.decile_table(results),
            "ladder": evidence_tables.ladder_table(results),
            "surrogates": evidence_tables.surrogate_table(results),
            "lead": evidence_tables.lead_table(results),
            "activity": evidence_tables.activity_table(results),
            "calibration": evidence_tables.calibration_table(results) if study_order.has_surrogates(results) else None,
            "returns": study_tables.returns_table(results),
            "failed": accounts.failed_table(results),
            "risk": study_tables.risk_table(results),
            "timing": study_tables.timing_table(results, self.random_draws),
            "alerts": study_tables.alert_table(results),
            "after": event_figures.event_table(results),
            "after_each": event_figures.offsets_table(results),
            "months": study_tables.months_table(results),
            "trials": settings_table("trials", "Trials", results.get("trials") or {}),
            "places": place_tables.place_tables(results),
            "slices": place_tables.slices_table(results),
            "regimes": place_tables.regime_table(results),
            "regime_rules": place_tables.regime_rules_table(results),
            "var": risk_figures.var_table(results),
            "costs": risk_figures.cost_table(results),
            "universe": universe_tables.universe_table(results),
            "quality": quality_table(self.quality),
            "config": settings_table("config", "Configuration", results.get("config") or {}),
            "data": settings_table("data-set", "Data", results.get("data") or {}),
            "seeds": settings_table("seeds", "Seeds", {"seeds": results.get("seeds")}),
            "versions": settings_table("versions", "Versions", results.get("versions") or {}),
        }
        return {
            "rule": rule(results),
            "labelled": labels_found.detection_sentence(results),
            "sealed": sealed_tables.sealed_sentences(results),
            "places_rule": place_tables.places_rule(results),
            "calibrated": evidence_tables.calibration_sentence(results),
            "cap": fmt.number(CAP),
            "charts": self.charts(),
            "tables": tables,
            "no_var": (results.get("value_at_risk") or {}).get("reason") or "",
            "trades": trade_records(self.trades, results),
            "prices": self.prices.chart() if self.prices else None,
        }


def study_excerpt(title: str, results: dict[str, Any]) -> str:
    """Headline and verdicts as a fragment of HTML without its own style, for notebooks."""
    draws = results.get("random_draws") or {}
    return html.part(
        "study_excerpt.html.j2",
        {
            "title": title,
            "headline": headline(results, draws),
            "table": study_tables.verdict_table(results),
        },
    )


# How many detectors there are of a verdict, in the singular and in the plural, and whether they are named.
COUNTED = (
    (VOLUME_TELLS, "exceeds only the forecast without volumes", "exceed only the forecast without volumes", True),
    (CALMER, "comes before calmer moves than expected", "come before calmer moves than expected", True),
    (CANDIDATE, "is a candidate whose test could not be calibrated", "are candidates whose test could not be calibrated", True),
    (ECHOES, "echoes volatility", "echo volatility", False),
    (NOTHING, "shows no information", "show no information", False),
    (TOO_FEW, "has too few events", "have too few events", False),
    ("not tested", "could not be tested", "could not be tested", False),
)


def headline(results: dict[str, Any], draws: dict[str, dict[str, Any]]) -> list[str]:
    """The findings of the study in sentences: the first is the answer, the others qualify it."""
    names = study_order.detectors_by_verdict(results)
    roles = {name: results["detectors"][name]["role"] for name in names}
    verdicts = {name: str(results["detectors"][name].get("verdict")) for name in names}
    # What looks ahead has no figures; a sentence names it.
    tested = [name for name in names if roles[name] == "detector" and verdicts[name] != LOOKS_AHEAD]
    adding = [name for name in tested if verdicts[name] == ADDS]
    count = f"{len(adding) or 'None'} of {fmt.counted(len(tested), 'detector')}"
    verb = "adds" if len(adding) <= 1 else "add"
    sentences = [f"{count} {verb} information beyond {_yardstick(results)}" + (f": {_listed(adding)}." if adding else ".")]
    others = []
    for label, one, many, named in COUNTED:
        found = [name for name in tested if verdicts[name] == label or (label == CANDIDATE and verdicts[name].startswith(label))]
        if found:
            who = f" ({', '.join(found)})" if named else ""
            others.append(f"{len(found)} {one if len(found) == 1 else many}{who}")
    if others:
        sentences.append(f"{'Among the others, ' if adding else ''}{_listed(others)}.")
    sentences += sealed_tables.sealed_sentences(results)[:1]
    if doubt := rung_tables.controls_sentence(results):
        sentences.append(doubt)
    sentences += [
        f"The baseline {name} is also judged to have a finding ({verdicts[name]}), so read the other verdicts with suspicion."
        for name in names
        if roles[name] == "baseline" and study_order.is_finding(verdicts[name])
    ]
    sentences += [f"{name}, the truth of the simulated market: {verdicts[name]}." for name in names if roles[name] == "oracle"]
    # What cannot be trusted comes before what was found.
    sentences = own_things.leak_sentences(results) + sentences + own_things.gate_sentences(results)
    sentences += _trading_sentence(results, draws, tested) + failed_sentence(results)
    return sentences + _span_sentence(results.get("data") or {})


def failed_sentence(results: Mapping[str, Any]) -> list[str]:
    """Which strategies failed."""
    failed = list(dict.fromkeys(entry["strategy"] for entry in results.get("failed_strategies") or []))
    if not failed:
        return []
    verb = "strategy failed and has" if len(failed) == 1 else "strategies failed and have"
    return [f"{len(failed)} {verb} no account: {_listed(failed)}."]


def _yardstick(results: Mapping[str, Any]) -> str:
    """What a detector that adds information exceeds."""
    if not study_order.forecasts_decide(results):
        return "volatility"
    return "both forecasts" if (results.get("forecasts") or {}).get("has_volume") else "the forecast"


def _span_sentence(data: Mapping[str, Any]) -> list[str]:
    """A warning about annual figures if the test period is short."""
    edges = [pd.Timestamp(data[key]) for key in ("test_start", "test_end") if data.get(key)]
    days = (edges[1] - edges[0]) / pd.Timedelta("1D") if len(edges) == 2 else SHORT_DAYS
    if not 0 < days < SHORT_DAYS:
        return []
    return [
        f"The test covers {fmt.counted(round(days), 'day')}: the standard error of an annual Sharpe ratio is about "
        f"{fmt.ratio((365 / days) ** 0.5)}, so annual figures say little."
    ]


def _trading_sentence(results: dict[str, Any], draws: dict[str, dict[str, Any]], tested: list[str]) -> list[str]:
    """Returns of the avoidance strategy of the strongest verdict; the return plays no part in the choice."""
    strategies = {name: found for name in tested if (found := study_order.strategy_of(name, results)) is not None}
    if not strategies:
        return []
    whose, strategy = next(iter(strategies.items()))
    backtest, hold = results["backtests"][strategy], results["backtests"].get("buy_and_hold")
    verdict = results["detectors"][whose].get("verdict")
    sentence = (
        f"{strategy}, the strategy of the strongest verdict ({verdict}), returned {fmt.percent(backtest.get('total_return'))} "
        f"with a largest drawdown of {fmt.percent(backtest.get('max_drawdown'))}"
    )
    drawn = draws.get(strategy) or {}
    if fmt.known(drawn.get("percentile")):
        sentence += (
            f", and beat {fmt.percent(drawn['percentile'])} of {fmt.count(drawn.get('n_draws'))} "
            "random timings of the same exposure"
        )
    if hold:
        sentence += (
            f"; buy_and_hold returned {fmt.percent(hold.get('total_return'))} "
            f"with a largest drawdown of {fmt.percent(hold.get('max_drawdown'))}"
        )
    return [sentence + "."]


def rule(results: dict[str, Any]) -> dict[str, Any]:
    """Values for the explanation of verdicts: the forecasts and the controls, the surrogates, if any, and the limits."""
    drawn = results.get("surrogates") or {}
    n = drawn.get("n") or 0
    return {
        **rung_tables.rule(results),
        "n": fmt.count(n) if n else "",
        "least_p": fmt.p_value(1 / (n + 1)),
        "families": evidence_tables.families(results),
        "notes": [str(note) for note in drawn.get("notes") or []],
        "level": fmt.percent(LEVEL, 0),
        "events": fmt.count(LEAST_EVENTS),
    }


def facts(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Facts about the data set for the head of the page."""
    data = results.get("data") or {}
    symbols = [str(symbol) for symbol in data.get("symbols") or []]
    listed = _listed(symbols) if len(symbols) <= 4 else first_of(symbols)
    test = [data.get("test_start"), data.get("test_end")]
    return [
        ("Symbols", listed or fmt.DASH),
        ("Bars", f"{fmt.count(data.get('n_bars'))} of {fmt.literal(data.get('interval'))}"),
        ("Tested", " to ".join(_day(time) for time in test)),
        *universe_tables.universe_fact(results),
        *_sealed_fact(results),
        ("Data hash", fmt.literal(data.get("hash"))[:12]),
    ]


def _sealed_fact(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The sealed part of the history, if the study has one."""
    opened, wanted = results.get("sealed"), (results.get("config") or {}).get("sealed")
    if opened:
        return [("Sealed part", f"{_day(opened['start'])} to {_day(opened['end'])}, opened {_day(opened['opened'])}")]
    if wanted is None:
        return []
    return [("Sealed part", f"the last {wanted if isinstance(wanted, str) else fmt.percent(wanted, 0)}, not opened")]


def _day(time: object) -> str:
    return fmt.literal(time)[:10]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""
