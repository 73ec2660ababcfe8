"""Every kind of page that the program writes."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.made import cases, comparison, exploration, factors, prices, scenarios, study

HARMLESS = ("first", "second", "third")
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=cmd|' /C calc'!A0")
WORSE = ("<img src=x onerror=alert(1)>\"'&</script><!--", "</title><h1>", "{{ 7 * 7 }}<br>")


@dataclass(frozen=True)
class Kind:
    """A kind of page: how many Plotly charts and scripts it has, and how many of the names on it users choose."""

    page_of: Callable[..., str]
    n_charts: int
    n_names: int = 3
    n_scripts: int = 2
    most_bytes: float = 2e6

    def named(self, names: tuple[str, ...]) -> str:
        """The page with these names, or with ordinary ones where there are none."""
        return self.page_of(*names[: self.n_names])


# A new kind of page is a line here.
KINDS = {
    "study": Kind(study.page_of, 36, n_scripts=3, most_bytes=3e6),
    "comparison": Kind(comparison.page_of, 6),
    "scenarios": Kind(scenarios.page_of, 6, n_names=2),
    "exploration": Kind(exploration.page_of, 15, n_names=2),
    "cases": Kind(cases.page_of, 3),
    "factors": Kind(factors.page_of, 3, n_names=2),
    "prices": Kind(prices.page_of, 0, n_scripts=4),
}
