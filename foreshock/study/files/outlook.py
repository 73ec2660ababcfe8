"""What a study would do, and about how long it would take, before anything is run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sklearn.base import clone

from foreshock.data.errors import DataError
from foreshock.data.interval import format_duration
from foreshock.detectors.own.scores import PrecomputedScores

if TYPE_CHECKING:
    from foreshock.detectors.base import Detector
    from foreshock.engine.features.features import Features
    from foreshock.study.study import Study

# Seconds for a million rows of all symbols together, as measured on two cores: by the kind of fit, for each of its folds' rows; for
# the forecasts and controls; and for what is done with each detector (evidence, slices, accounts, risk).
FAST, NETWORK = 4.0, 900.0
# Rows from which a quick detector is tried.
TRIED = 1_000
FORECASTS, EACH_DETECTOR, COMPILING = 110.0, 25.0, 20.0


def outlook(study: Study) -> list[str]:
    """Lines that say what a study runs on, what it would fit and judge, and about how long that takes.

    Raises
    ------
    ConfigError
        If a window or horizon does not fit into the data, as ``Study.run`` would.

    Examples
    --------
    >>> import foreshock as fs
    >>> from foreshock.study.files.outlook import outlook
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=1_500).bars
    >>> for line in outlook(fs.Study(bars, ["zscore"], fs.WalkForward("20D", "5D"), fs.RollingQuantile(0.99, "10D"))):
    ...     print(line)
    BTC/USDT: 1,500 rows of 1h, 2022-01-01T00:00 to 2022-03-04T11:00
    3 detectors: zscore, random, volatility_only; 13 features
    7 test blocks from 2022-02-02T00:00 on, 732 rows; horizons 1h, 6h, 24h
    nothing was run; a run takes about half a minute
    """
    plan = study._plan()
    bars = plan.bars
    names = ", ".join(bars.symbols[:4]) + (f" and {bars.n_symbols - 4} more" if bars.n_symbols > 4 else "")
    first = plan.setting.first
    cells = bars.close.size / 1e6
    fits = sum(NETWORK if detector.slow else FAST for detector in (plan.detectors | plan.controls).values())
    seconds = COMPILING + cells * (fits + FORECASTS + EACH_DETECTOR * len(plan.detectors))
    features = plan.source.features
    n_features = len(features.names)
    for detector in (plan.detectors | plan.controls).values():
        _tried(detector, features.rows(slice(0, min(first, TRIED))))
    chosen = []
    if study.universe is not None and plan.members is not None:
        rule, ever = study.universe, {name for block in plan.members.blocks for name in block.members}
        chosen = [f"the {rule.top} largest by {rule.by} over the {rule.window} before each block: {len(ever)} symbols in all"]
    return [
        f"{names}: {bars.n_bars:,} rows of {format_duration(bars.interval)}, {str(bars.time[0])[:16]} to {str(bars.time[-1])[:16]}",
        f"{len(plan.detectors)} detectors: {', '.join(plan.detectors)}; {n_features} features",
        f"{plan.n_folds} test blocks from {str(bars.time[first])[:16]} on, {bars.n_bars - first:,} rows; "
        f"horizons {', '.join(study.horizons)}",
        *chosen,
        f"nothing was run; a run takes about {in_words(seconds)}",
    ]


def _tried(detector: Detector, features: Features) -> None:
    """Read what a detector reads, and let one that is quick learn from a few rows, so that what cannot be is told now."""
    if isinstance(detector, PrecomputedScores):
        detector.table()
    elif not detector.slow:
        fresh: Any = clone(detector)
        # Few rows may be too few, or of one value, which the whole is not.
        with contextlib.suppress(DataError):
            fresh.fit(features)


def in_words(seconds: float) -> str:
    """A rough time in words.

    >>> [in_words(x) for x in (20, 100, 4_000, 20_000)]
    ['half a minute', '2 minutes', 'an hour', '6 hours']
    """
    if seconds < 45:
        return "half a minute"
    minutes = round(seconds / 60)
    if minutes < 45:
        return "a minute" if minutes < 2 else f"{minutes} minutes"
    hours = round(seconds / 3_600)
    return "an hour" if hours < 2 else f"{hours} hours"
