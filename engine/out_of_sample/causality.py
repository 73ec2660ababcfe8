"""The causality gate: nothing computed at a row may change when later rows are deleted or corrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_function, check_integer, check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown

History = TypeVar("History")
# The extra that is settled at the open of its row, and known then.
FUNDING = "funding_rate"


@dataclass(frozen=True)
class AuditResult:
    """Result of the gate for one computation.

    Parameters
    ----------
    name : str
        Name of the computation.
    n_cuts : int
        Number of cuts tried.
    tolerance : float
        Largest relative difference allowed; 0 asks for equal bits.
    worst : float
        Largest relative difference found before a cut; infinity if a value became known or unknown.
    first_leak : str or None
        The first cut at which it failed, and whether rows were deleted or corrupted; None if it passed.
    n_known : int
        Values before the first cut that had any which were known and could be compared; 0 if none were.
    """

    name: str
    n_cuts: int
    tolerance: float
    worst: float
    first_leak: str | None
    n_known: int = 0

    @property
    def passed(self) -> bool:
        return self.first_leak is None


@dataclass(frozen=True, repr=False)
class Audit(Shown):
    """Results of the causality gate, one for each computation.

    Parameters
    ----------
    results : tuple of AuditResult
        In the order in which the computations were named.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> found = fs.audit(lambda b: {"features": fs.ohlcv_features(b).values, "leaky": b.close / b.close.max()}, bars)
    >>> found["features"].passed, found["leaky"].passed, found.passed
    (True, False, False)
    """

    results: tuple[AuditResult, ...]

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    def __getitem__(self, name: str) -> AuditResult:
        return next(result for result in self.results if result.name == name)

    @property
    def table(self) -> pd.DataFrame:
        """One row for each computation: worst difference, tolerance, and where it leaked."""
        columns = ["name", "n_cuts", "tolerance", "worst", "first_leak"]
        return pd.DataFrame([vars(result) for result in self.results], columns=columns).set_index("name")

    def _facts(self) -> Iterator[str]:
        leaks = [result.name for result in self.results if not result.passed]
        yield counted(len(self.results), "computation")
        yield f"later bars change {few(leaks)}" if leaks else "none sees later bars"

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row a computation, by ``name``."""
        return self.table


@door
def audit(
    compute: Callable[[Bars], np.ndarray | Mapping[str, np.ndarray]],
    bars: Bars,
    n_cuts: int = 20,
    first_cut: int | None = None,
    tolerance: Mapping[str, float] | float = 0.0,
    at_open: Collection[str] = (),
    seed: int = 0,
    on_cut: Callable[[], None] | None = None,
) -> Audit:
    """Check that computations do not change when later rows are deleted or corrupted.

    At random cuts k, ``compute`` of the first k bars, and of the bars with everything from k on multiplied by noise, must give
    the same first k rows as ``compute`` of all bars. The open of row k is left unchanged: computations in ``at_open``, whose row
    t is known at the open of t (such as fills), must be the same in row k too.

    Parameters
    ----------
    compute : callable
        A function of Bars that returns an array whose first axis is the rows of the bars, or several arrays by name. Models that
        were fitted beforehand, on rows before ``first_cut``, belong in its closure.
    bars : Bars
        History to compute on.
    n_cuts : int
        Number of random cuts.
    first_cut : int, optional
        The earliest cut, a row; by default a quarter of the bars.
    tolerance : float, or dict of str to float
        Largest relative difference allowed. Use 0 (equal bits) for kernels of this package, 1e-9 if BLAS or a network is involved.
    at_open : collection of str
        Names of computations whose row t is known at the open of t.
    seed : int
        Seed of the cuts and the noise.
    on_cut : callable, optional
        Called after each cut.

    Raises
    ------
    ConfigError
        If no cut fits into the bars, a tolerance is negative or not finite, nothing is computed, a computation does not return one
        row per bar, or one knows no value before any cut, so that nothing could be compared.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> fs.audit(lambda b: b.close / b.close.max(), bars).passed
    False
    >>> fs.audit(lambda b: fs.ohlcv_features(b).values, bars).passed
    True
    """
    check_integer("seed", seed)
    for allowed in tolerance.values() if isinstance(tolerance, Mapping) else (tolerance,):
        _check_tolerance(allowed)
    if isinstance(at_open, str | bytes) or not isinstance(at_open, Collection):
        raise ConfigError(f"at_open must be a list of names, got {shown(at_open)}; put it in brackets")
    check_integer("n_cuts", n_cuts)
    if first_cut is not None:
        check_integer("first_cut", first_cut)
    if on_cut is not None:
        check_function("on_cut", on_cut)
    if not callable(compute):
        raise ConfigError(f"compute must be a function of bars, got {shown(compute)}")
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    first = max(bars.n_bars // 4, 1) if first_cut is None else first_cut
    if not 0 < first < bars.n_bars or n_cuts < 1:
        raise ConfigError(
            f"the audit needs bars after row {first} to cut away and at least one cut, got {bars.n_bars} bars and {n_cuts} cuts; "
            f"pass more bars"
        )
    found = gate(compute, bars, bars.n_bars, Bars.head, corrupt_from, n_cuts, first, tolerance, at_open, seed, on_cut)
    refuse_unknown(found.results, first)
    return found


def gate(
    compute: Callable[[Any], np.ndarray | Mapping[str, np.ndarray]],
    history: History,
    n_rows: int,
    head: Callable[[History, int], History],
    disturb: Callable[[History, int, np.random.Generator], History],
    n_cuts: int,
    first: int,
    tolerance: Mapping[str, float] | float,
    at_open: Collection[str],
    seed: int,
    on_cut: Callable[[], None] | None = None,
) -> Audit:
    """``audit`` of any history of ``n_rows`` rows, by functions that cut it and disturb what comes after a cut."""
    rng = np.random.default_rng(seed)
    full = _named(compute(history))
    if not full:
        raise ConfigError("compute must return at least one computation, got none; return an array, or a dict of arrays by name")
    sizes = {name: values.shape[:1] for name, values in full.items()}
    wrong = [f"{name} gave {size[0] if size else 'one value'}" for name, size in sizes.items() if size != (n_rows,)]
    if wrong:
        raise ConfigError(f"a computation must return one row for each of the {n_rows} bars, but {few(wrong)}")
    allowed = {name: tolerance if isinstance(tolerance, float | int) else tolerance.get(name, 0.0) for name in full}
    worst, known = dict.fromkeys(full, 0.0), dict.fromkeys(full, 0)
    leaks: dict[str, str] = {}
    for cut in map(int, rng.integers(first, n_rows, n_cuts)):
        for what, other in (("deleted", head(history, cut)), ("corrupted", disturb(history, cut, rng))):
            found = _named(compute(other))
            for name, values in full.items():
                stop = cut + (what == "corrupted" and name in at_open)
                if name not in found:
                    raise ConfigError(f"compute must return {few(full)} of every history, got {few(found)} of {cut} bars")
                gap = difference(values[:stop], found[name][:stop])
                worst[name] = max(worst[name], gap)
                known[name] = known[name] or int(np.count_nonzero(~pd.isna(values[:stop])))
                if gap > allowed[name]:
                    leaks.setdefault(name, f"rows from {cut} on {what}")
        if on_cut is not None:
            on_cut()
    return Audit(tuple(AuditResult(name, n_cuts, allowed[name], worst[name], leaks.get(name), known[name]) for name in full))


def refuse_unknown(results: Iterable[AuditResult], first: int) -> None:
    """Refuse computations that passed because none of their values was known before a cut."""
    unknown = [result.name for result in results if result.passed and not result.n_known]
    if unknown:
        raise ConfigError(
            f"the audit needs values that are known before a cut, got none of {few(unknown)} (cuts from row {first} on); pass more "
            "bars, or a later first_cut"
        )


def _check_tolerance(value: object) -> None:
    check_number("tolerance", value)
    if not 0 <= value < math.inf:  # pyright: ignore[reportOperatorIssue]
        raise ConfigError(f"tolerance must be finite and at least 0, got {shown(value)}; 0 asks for equal bits")


def _named(values: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    named = values if isinstance(values, Mapping) else {"computation": values}
    return {name: np.asarray(array) for name, array in named.items()}


def corrupt_from(bars: Bars, cut: int, rng: np.random.Generator) -> Bars:
    """The bars with every price, volume and extra from row ``cut`` on multiplied by noise.

    Extras of both signs get random signs. The open of ``cut`` itself stays, and so does the funding rate that is settled at it.
    """
    size = (bars.n_bars - cut, bars.n_symbols)
    # A standard deviation of 0.1 shows in every feature, yet an account rebalanced on years of such noise stays bounded.
    level = np.exp(rng.normal(0, 0.1, size))
    changed = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for name in ("high", "low", "close"):
        changed[name][cut:] *= level
    changed["open"][cut + 1 :] *= level[1:]
    changed["volume"][cut:] *= np.exp(rng.normal(0, 3, size))
    extras = {}
    for name, values in bars.extras.items():
        noise = np.exp(rng.normal(0, 1, size))
        if (values < 0).any():
            noise *= rng.choice([-1.0, 1.0], size)
        if name == FUNDING:
            noise[0] = 1.0
        extras[name] = values.copy()
        extras[name][cut:] *= noise
    return replace(bars, **changed, extras=extras)


def difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest relative difference between two arrays; infinity if shapes differ, or a value became known or unknown."""
    if expected.shape != found.shape:
        return float("inf")
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(expected, found) else float("inf")
    unknown = np.isnan(expected)
    if not np.array_equal(unknown, np.isnan(found)):
        return float("inf")
    a, b = expected[~unknown], found[~unknown]
    same = a == b
    if same.all():
        return 0.0
    a, b = a[~same], b[~same]
    if not (np.isfinite(a) & np.isfinite(b)).all():
        return float("inf")
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))))
