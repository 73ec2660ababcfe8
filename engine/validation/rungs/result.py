"""Results of the deciding test: what was found of each detector, and of the negative controls."""

from __future__ import annotations

from dataclasses import dataclass

from foreshock.engine.validation.rungs.gain import Gain

RUNGS = ("volatility", "volume")
LEVEL = 0.05
# A detector with fewer alerts than this is not judged.
LEAST_EVENTS = 8
# Effect whose number of alerts is told where there are too few.
EXAMPLE = 1.5


@dataclass(frozen=True)
class Found:
    """One detector at one rung and horizon.

    Parameters
    ----------
    n_events : int
        Alerts used.
    ratio : float
        Activity after alerts over that which the forecast and the controls expect, less the bias of the negative controls.
    ci : tuple of float
        95 % interval of ``ratio``, calibrated.
    z_raw, z : float
        Normal score before and after calibration.
    p, q : float
        Two-sided p of ``z``, and p adjusted for all detectors, horizons and rungs together.
    bias, spread : float
        Calibration in the circumstances of the alerts: effect without information, in logs, and total error as a multiple of the
        sampling error.
    state : float
        How far from usual the forecast was at the alerts, in standard deviations.
    detectable : float
        Smallest ratio that would have been found four times in five by a single test at 5 %.
    halves : tuple of float
        Ratio in the first and in the second half of the judged rows, calibrated likewise; NaN with fewer than eight alerts.
    halves_z : tuple of float
        Calibrated z of the halves.
    reason : str
        Why z is not calibrated or not known; empty otherwise.
    settled : bool
        Whether the forecasts know where most alerts are, as they do of a clock's, so that nothing is left to test.
    """

    n_events: int
    ratio: float
    ci: tuple[float, float]
    z_raw: float
    z: float
    p: float
    q: float
    bias: float
    spread: float
    state: float
    detectable: float
    halves: tuple[float, float]
    halves_z: tuple[float, float]
    reason: str = ""
    settled: bool = False

    @property
    def larger(self) -> bool:
        return self.z > 0


@dataclass(frozen=True)
class ControlFound:
    """One negative control at one rung and horizon, calibrated by the controls of other families; ``own`` is the user's."""

    name: str
    family: str
    rung: str
    horizon: str
    n_events: int
    z_raw: float
    z: float
    state: float
    own: bool = False


@dataclass(frozen=True)
class RungTest:
    """Result of the deciding test.

    Parameters
    ----------
    found : dict of str to dict of str to dict of str to Found
        By detector, rung (``volatility``, ``volume``) and horizon.
    controls : list of ControlFound
        Every negative control at every rung and horizon.
    quality : dict of str to dict of str to dict
        By rung and horizon: ``r2`` and ``qlike_gain`` of the forecast on the judged rows.
    gains : dict of str to dict of str to dict of str to Gain
        By detector, rung and input (``alert``, ``score``): improvement of the forecast.
    enough : dict of str to int
        By horizon, the alerts with which a ratio of 1.5 would be found four times in five, by the errors of the negative controls.
    n_days : float
        Length of the judged rows in days.
    has_marks : bool
        Whether volumes are known; without them both rungs are the same.
    trees : bool
        Whether the forecasts have trees.
    """

    found: dict[str, dict[str, dict[str, Found]]]
    controls: list[ControlFound]
    quality: dict[str, dict[str, dict[str, float]]]
    gains: dict[str, dict[str, dict[str, Gain]]]
    enough: dict[str, int]
    n_days: float
    has_marks: bool
    trees: bool

    def needed(self, detector: str) -> str:
        """A sentence on how many alerts, and how much history, would show a ratio of 1.5; empty if that is not known."""
        by_horizon = self.found[detector][RUNGS[0]]
        name = max(by_horizon, key=lambda horizon: by_horizon[horizon].n_events)
        if not self.enough.get(name):
            return ""
        n, n_events = self.enough[name], by_horizon[name].n_events
        days = f", about {self.n_days * n / n_events:,.0f} days at the present rate" if n_events else ""
        return f"{n} alerts would show a ratio of {EXAMPLE} four times in five{days}."
