"""The settings of a verdict, shared by all tests of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foreshock.data.checks import check_horizons, check_most, check_seed, check_whole
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration
from foreshock.data.show.shown import shown
from foreshock.engine.validation.surrogates.histories import BEST

MIN_SURROGATES = 19
# More would take hours, or all memory.
MOST_SURROGATES, MOST_DRAWS = 100_000, 1_000_000


@dataclass(frozen=True)
class Judging:
    """Settings of the tests behind a verdict, passed as one object.

    Parameters
    ----------
    horizons : sequence of str
        Durations of the moves after an alert, such as ``"6h"``.
    cooldown : str
        After an event, further alerts of the symbol within this time are not events.
    delay : int
        Bars from a signal to the first bar measured, at least 1.
    first : int
        First row that is judged.
    n_bootstrap : int
        Draws of every bootstrap and random shifts of every shift test.
    n_surrogates : int
        Surrogate histories, at least 19 for a p of 5 %; 0 skips the surrogate test.
    family : str
        Volatility model of the surrogate histories; see ``fit_surrogates``.
    seed : int
        Seed of every random draw.
    forward : bool
        Whether the forecasts of the deciding test are fitted on earlier rows alone, not on all other blocks of time.

    Raises
    ------
    ConfigError
        If there is no horizon, a horizon occurs twice, or a number is not whole or too small.

    Examples
    --------
    >>> Judging(("6h", "24h"), "24h").delay
    1
    >>> Judging(("6h", "360m"), "24h")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: horizons must differ and be at least one, got 6h, 360m; a horizon twice is two tests
    """

    horizons: Sequence[Duration]
    cooldown: Duration
    delay: int = 1
    first: int = 0
    n_bootstrap: int = 999
    n_surrogates: int = 0
    family: str = BEST
    seed: int = 0
    forward: bool = False

    def __post_init__(self) -> None:
        check_whole("delay", self.delay, 1, " bar, because a score is known at the close of its bar")
        check_whole("first", self.first, 0)
        check_whole("n_bootstrap", self.n_bootstrap, 1, hint="999 is usual")
        check_most("n_bootstrap", self.n_bootstrap, MOST_DRAWS, "999 is usual")
        check_surrogates(self.n_surrogates)
        check_seed("seed", self.seed)
        if isinstance(self.horizons, str):
            raise ConfigError(f"horizons must be a list, got {shown(self.horizons)}; put it in brackets")
        check_horizons(self.horizons)
        object.__setattr__(self, "horizons", tuple(self.horizons))


def check_surrogates(n: int) -> None:
    """Raise unless a number of surrogate histories is 0, or enough for a p of 5 %."""
    check_whole("n_surrogates", n, 0, hint="199 is usual")
    check_most("n_surrogates", n, MOST_SURROGATES, "199 is usual")
    if 0 < n < MIN_SURROGATES:
        raise ConfigError(f"n_surrogates must be 0 or at least {MIN_SURROGATES}, got {n}; 199 is usual")
