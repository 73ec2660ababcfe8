"""Roles of features: what a column measures, by its name, so that defaults of detectors fit every source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from foreshock.data.errors import ConfigError
from foreshock.engine.features.features import Features

# Names without the numbers at their end, by what they measure.
ROLES: Mapping[str, tuple[str, ...]] = {
    "return": ("log_return", "midpoint_return", "return", "return_zscore"),
    "volatility": ("volatility", "parkinson", "garman_klass"),
    "range": ("range",),
    "volume": ("volume_ratio", "volume_zscore", "volume_change", "volume", "quote_volume", "buy_quote_volume", "avg_trade_size"),
    "count": ("trade_count_ratio", "trade_count"),
    "flow": ("buy_share", "rush_orders", "buy_burst", "order_flow_imbalance", "trade_imbalance", "market_share", "cancel_to_limit"),
    "spread": ("relative_spread", "spread"),
    "depth": ("depth_ratio", "log_depth", "depth_slope"),
    "imbalance": ("imbalance", "microprice_deviation"),
}
# What stands in for a role that no feature has, nearest first.
INSTEAD: Mapping[str, tuple[str, ...]] = {
    "range": ("volatility", "return"),
    "volatility": ("range", "return"),
    "volume": ("count", "depth", "flow"),
}


def role_of(name: str) -> str | None:
    """What a feature of this name measures; None if that is not known.

    >>> role_of("volume_ratio_20"), role_of("midpoint_return"), role_of("moon")
    ('volume', 'return', None)
    """
    plain = re.sub(r"(_\d+)+$", "", name)
    return next((role for role, names in ROLES.items() if plain in names), None)


def default_columns(features: Features, names: Sequence[str]) -> list[str]:
    """``default_column`` of each name; those that nothing stands in for are left out, unless none is left.

    Raises
    ------
    ConfigError
        If nothing stands in for any of the names.
    """
    found = []
    for name in names:
        try:
            found.append(default_column(features, name))
        except ConfigError:
            continue
    if not found:
        features.index(names[0])
    return list(dict.fromkeys(found))


def default_column(features: Features, name: str) -> str:
    """The feature ``name``, or where it is missing the one that stands nearest to it in the order of roles.

    A feature of the same role comes first, then one of a role near to it. A name without a role, and a role that nothing stands in
    for, is refused as any unknown name is.
    """
    if name in features.names:
        return name
    role = role_of(name)
    for wanted in (role, *INSTEAD.get(role, ())) if role else ():
        of_role = {re.sub(r"(_\d+)+$", "", found): found for found in reversed(features.names) if role_of(found) == wanted}
        # The order of a role's names tells which of several is the most usual.
        best = next((of_role[plain] for plain in ROLES[wanted] if plain in of_role), None)
        if best is not None:
            return best
    return features.names[features.index(name)]
