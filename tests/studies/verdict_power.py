"""Power of the deciding test: ``python -m tests.studies.verdict_power --out power.csv``.

Effects are planted after alerts that past prices do not explain: volume spikes without a trace in the price, six ordinary returns
of one sign in a row, and alerts from outside. Volatility is multiplied for some hours after each alert. The table has the share of
histories with each finding; ``found`` counts those in which volume tells or information is added, or, where moves are made smaller,
calm is told.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from foreshock.data.bars import Bars
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.forward import forward_moves
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.engine.validation.verdict import ADDS, CALMER, VOLUME_TELLS, decide
from tests.studies.parts.nulls import HOUR, START, ar
from tests.studies.parts.resumable import parser_of, resume

HORIZONS = ("1h", "6h", "24h")
RULE = RollingQuantile(0.99, "20D")


@dataclass(frozen=True)
class Planted:
    """One setting: the kind of alert, its effect, and the history.

    Parameters
    ----------
    kind : str
        ``volume`` (spikes), ``mixed`` (alerts are a quantile of the volume ratio, so that some are false), ``pattern`` (six
        returns of one sign), ``outside`` (random times) or ``return`` (returns beyond 2.5 deviations, which past prices tell).
    times : float
        Volatility after an alert, times this; 1 for none, below 1 for calm.
    hours : int
        How long.
    n_bars, n_symbols : int
        Shape of the history.
    spikes : float
        Spikes, or alerts from outside, a hundred hours.
    where : str
        ``all``, ``one symbol`` (the first alone) or ``one quarter`` (of the time).
    drift : float
        Signed drift an hour after the alert, in deviations, instead of larger moves.
    """

    kind: str
    times: float
    hours: int = 24
    n_bars: int = 4_380
    n_symbols: int = 1
    spikes: float = 1.1
    where: str = "all"
    drift: float = 0.0


def simulate(planted: Planted, seed: int) -> tuple[Bars, Signals]:
    """Hourly bars with the effect, and the alerts that come before it."""
    rng = np.random.default_rng(seed)
    n, k = planted.n_bars, planted.n_symbols
    law = np.column_stack([ar(n, 30, 0.45, rng) for _ in range(k)])
    prices, volumes, alerts = [], [], np.zeros((n, k), bool)
    for i in range(k):
        spikes = rng.random(n) < planted.spikes / 100
        spikes[:2] = False
        in_effect, drift, run, sign = 0, 0.0, 0, 0
        level, path = 0.0, np.empty((n, 13))
        square, alerted = 1.0, np.zeros(n, bool)
        for t in range(n):
            active = planted.where == "all" or (planted.where == "one symbol" and i == 0)
            active |= planted.where == "one quarter" and n // 2 <= t < n * 3 // 4
            deviation = 0.006 * np.exp(law[t, i]) * (planted.times if in_effect > 0 else 1.0)
            steps = rng.standard_t(5, 12) * np.sqrt(0.6 / 12) * deviation + drift * deviation / 12 * (in_effect > 0)
            path[t, 0], path[t, 1:] = level, level + np.cumsum(steps)
            move = path[t, -1] - level
            level = path[t, -1]
            in_effect -= 1
            run = run + 1 if np.sign(move) == sign else 1
            sign = np.sign(move)
            if planted.kind in ("volume", "mixed", "outside"):
                now = spikes[t]
            elif planted.kind == "pattern":
                now = run == 6
            else:
                now = abs(move) > 2.5 * np.sqrt(square)
            square = 0.98 * square + 0.02 * move**2 if t else move**2
            alerted[t] = now
            if now and active:
                in_effect = planted.hours
                drift = planted.drift * rng.choice([-1.0, 1.0])
        prices.append(path)
        loud = spikes if planted.kind in ("volume", "mixed") else np.zeros(n, bool)
        volumes.append(1_000 * np.exp(law[:, i] + 0.5 * rng.standard_normal(n) + 2.5 * loud))
        alerts[:, i] = alerted
    opened, close = (np.exp(np.column_stack([path[:, j] for path in prices])) * 100 for j in (0, -1))
    high, low = (np.exp(np.column_stack([edge(path, axis=1) for path in prices])) * 100 for edge in (np.max, np.min))
    volume = np.column_stack(volumes) / close
    bars = Bars(START + np.arange(n) * HOUR, tuple("ABCDEFGH"[:k]), opened, high, low, close, volume, HOUR)
    decided = np.ones((n, k), bool)
    decided[:480] = False
    if planted.kind == "mixed":
        ratio = pd.DataFrame(bars.close * bars.volume)
        ratio = (ratio / ratio.rolling(168, min_periods=48).mean().shift(1)).to_numpy()
        return bars, Scores(bars.time, bars.symbols, ratio, HOUR).signals(RULE)
    return bars, Signals(bars.time, bars.symbols, alerts & decided, np.where(decided, 0.5, np.nan), decided, HOUR)


def one_history(*piece: Any) -> list[dict[str, Any]]:
    planted, seed = Planted(*piece[:-1]), piece[-1]
    with threadpool_limits(limits=1):
        bars, signals = simulate(planted, seed)
        test = RungTable(bars, Judging(HORIZONS, "24h", first=480), RULE).test({"planted": signals})
        verdict = decide(forward_moves(bars, signals, HORIZONS, cooldown="24h", n_bootstrap=99), test.found["planted"])
    found = test.found["planted"]["volatility"]
    best = min(found.values(), key=lambda one: one.q)
    figures = {"seed": seed, "label": verdict.label, "n_events": best.n_events, "ratio": best.ratio, "q": best.q}
    return [asdict(planted) | figures]


SETTINGS = (
    Planted("volume", 1.5),
    Planted("volume", 1.5, n_bars=18_000),
    Planted("mixed", 1.5),
    Planted("outside", 1.5),
    Planted("outside", 1.5, n_bars=18_000),
    Planted("pattern", 1.5, n_bars=2_400),
    Planted("pattern", 1.5, n_bars=8_000),
    Planted("outside", 1 / 1.25, n_bars=14_000),
    Planted("outside", 1.0),
    *(Planted("outside", times, n_bars=8_000) for times in (1.1, 1.25, 1.5, 2.0)),
    *(Planted("outside", 1.5, hours=hours, n_bars=8_000) for hours in (1, 6, 48)),
    Planted("outside", 1.5, n_bars=8_000, n_symbols=4, where="one symbol"),
    Planted("outside", 1.5, n_bars=8_000, where="one quarter"),
    Planted("outside", 1.0, hours=6, n_bars=8_000, drift=0.3),
    *(Planted("return", 1.25, n_bars=n) for n in (4_000, 8_000, 20_000)),
)

FIRST_SEED = 5_000_000
FIELDS = (*Planted.__dataclass_fields__, "seed", "label", "n_events", "ratio", "q")


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    keys = list(Planted.__dataclass_fields__)
    lines = []
    for key, part in rows.groupby(keys, sort=False):
        shares = {label: (part["label"] == label) for label in (ADDS, VOLUME_TELLS, CALMER)}
        found = shares[ADDS] | shares[VOLUME_TELLS] if part["times"].iloc[0] >= 1 else shares[CALMER]
        low, high = wilson(int(found.sum()), len(part))
        lines.append(
            dict(zip(keys, key, strict=True))
            | {"histories": len(part), "events": part["n_events"].mean(), "found": found.mean(), "low": low, "high": high}
            | {label: share.mean() for label, share in shares.items()}
            | {"ratio": part["ratio"].median()}
        )
    return pd.DataFrame(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, 100)
    parser.add_argument("--settings", type=int, nargs="*", default=range(len(SETTINGS)))
    options = parser.parse_args(arguments)
    wanted = ((*asdict(SETTINGS[i]).values(), FIRST_SEED + k) for k in range(options.histories) for i in options.settings)
    rows = resume(options.out, FIELDS[:9], FIELDS, wanted, one_history, options.jobs)
    with pd.option_context("display.width", 250, "display.max_columns", 30, "display.precision", 3):
        print(summary(rows).to_string(index=False))


if __name__ == "__main__":
    main()
