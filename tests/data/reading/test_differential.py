"""Random tables as CSV, Parquet and Feather: the fast reader and a slow, obvious one read the same, or both refuse."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import FIELDS, PRICES, Bars
from foreshock.data.errors import DataError
from foreshock.data.files import read_bars
from tests.data.reading import obvious

NAMES = ["BTC/USDT", "ETH", "00", "0", "1E3", "INF", "NA", "nan", "None", "BTC ", " BTC", "a,b", "Ä", "True", "7"]
STEPS = [1, 60, 300, 3_600, 14_400, 86_400]


def random_table(rng: np.random.Generator) -> pd.DataFrame:
    """Bars of one to four symbols, of which about half of the tables have something that is refused."""
    step, n = int(rng.choice(STEPS)), int(rng.integers(2, 60))
    first = 1_600_000_000 // step * step + step * int(rng.integers(0, 5_000_000 // step + 10))
    parts = []
    for symbol in rng.choice(NAMES, int(rng.integers(1, 5)), replace=False):
        time = first + step * np.arange(n)
        kind = rng.random()
        if kind < 0.2:
            time = time[rng.random(n) < 0.7]
        elif kind < 0.25:
            time = first + step * int(rng.integers(2, 25)) * np.arange(n)
        close = np.round(np.exp(rng.normal(rng.normal(0, 8), 0.01, len(time))), int(rng.integers(2, 14))) + 1e-9
        prices = {"open": close * 1.001, "high": close * 1.01, "low": close * 0.99, "close": close}
        parts.append(pd.DataFrame({"time": time, "symbol": symbol, **prices, "volume": rng.exponential(1, len(time))}))
    table = pd.concat(parts, ignore_index=True)
    if rng.random() < 0.5:
        table = table.sort_values("time", kind="stable", ignore_index=True)
    if len(table) and table["symbol"].nunique() == 1 and rng.random() < 0.7:
        table = table.drop(columns="symbol")
    return spoiled(with_extras(table, rng), rng)


def with_extras(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(table)
    made = {
        "trade_count": lambda: rng.integers(0, 1_000, n),
        "Quote_Volume": lambda: np.where(rng.random(n) < 0.2, np.nan, rng.exponential(1, n)),
        "final": lambda: rng.random(n) < 0.5,
        "source": lambda: rng.choice(["binance", "NA", ""], n),
        "empty": lambda: np.full(n, np.nan),
    }
    for name, make in made.items():
        if rng.random() < 0.25:
            table[name] = make()
    return table


def spoiled(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(table)
    if not n or rng.random() < 0.4:
        return table
    at = int(rng.integers(0, n))
    faults = ["doubled", "swapped", "nothing", "half", "zero", "negative", "infinite", "off", "volume alone", "name", "close"]
    match rng.choice(faults):
        case "doubled":
            table = pd.concat([table[: at + 1], table[at:]], ignore_index=True)
        case "swapped":
            table = table.iloc[rng.permutation(n)].reset_index(drop=True)
        case "nothing":
            table.loc[at, list(FIELDS)] = np.nan
        case "half":
            table.loc[at, "high"] = np.nan
        case "zero":
            table.loc[at, rng.choice(PRICES)] = 0.0
        case "negative":
            table.loc[at, "volume"] = -1.0
        case "infinite":
            table.loc[at, rng.choice(FIELDS)] = np.inf
        case "off":
            table.loc[at, "time"] += 1
        case "volume alone":
            table.loc[at, list(PRICES)] = np.nan
        case "name" if "symbol" in table:
            table.loc[at, "symbol"] = rng.choice(["", "  ", "other"])
        case "close":
            table["time"] += 3_599
        case _:
            pass
    return table


def in_form(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The times in one of the forms that are read, under one of their names."""
    seconds = table["time"].to_numpy()
    stamps = pd.Series(seconds.astype("datetime64[s]"))
    forms = {
        "s": lambda: seconds,
        "ms": lambda: seconds * 1_000,
        "us": lambda: seconds * 1_000_000,
        "ns": lambda: seconds * 1_000_000_000,
        "float": lambda: seconds.astype(float),
        "stamps": lambda: stamps.astype("datetime64[ms]"),
        "zone": lambda: stamps.astype("datetime64[us]").dt.tz_localize("UTC"),
        "iso": lambda: stamps.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "iso z": lambda: stamps.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "hours": lambda: stamps.dt.strftime("%Y%m%d%H").astype("int64"),
        "minutes": lambda: stamps.dt.strftime("%y%m%d%H%M").astype("int64"),
        "future": lambda: seconds + 1_500_000_000,
    }
    weights = np.array([3, 3, 1, 1, 1, 3, 3, 3, 3, 0.5, 0.5, 0.5])
    form = rng.choice(list(forms), p=weights / weights.sum())
    table = table.assign(time=forms[form]() if len(table) else table["time"])
    return table.rename(columns={"time": rng.choice(["time", "ts", "Date", " open_time", "timestamp"])})


def write_csv(table: pd.DataFrame, path: Path, rng: np.random.Generator) -> bool:
    """Write the table, sometimes with a row that is cut or long; returns whether it has the rows of the table."""
    words = table.astype(object).where(table.notna(), rng.choice(["", "NA", "NaN"]))
    rows = [[str(value) if not isinstance(value, float) else repr(value) for value in row] for row in words.itertuples(index=False)]
    cut = len(rows) > 0 and rng.random() < 0.1
    if cut:
        at = int(rng.integers(0, len(rows)))
        rows[at] = rows[at][: int(rng.integers(1, len(rows[at])))] if rng.random() < 0.7 else [*rows[at], "1"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file, lineterminator=rng.choice(["\n", "\r\n"]), quoting=int(rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        )
        writer.writerow(table.columns)
        writer.writerows(rows)
    return not cut


def as_dict(bars: Bars) -> dict[str, dict[tuple[str, int], float]]:
    micros = bars.time.astype("int64").tolist()
    out = {"interval": {("", 0): float(bars.interval.astype("int64"))}}
    for name, values in {**{name: getattr(bars, name) for name in FIELDS}, **bars.extras}.items():
        known = zip(*np.nonzero(~np.isnan(values)), strict=True)
        out[name] = {(bars.symbols[col], micros[row]): float(values[row, col]) for row, col in known}
    return out


def compare(seed: int, folder: Path) -> list[bool]:
    """Whether each file of a random table was read, after both readers were held against each other."""
    rng = np.random.default_rng(seed)
    table = in_form(random_table(rng), rng)
    paths = [folder / f"x{seed}.{kind}" for kind in ("csv", "parquet", "feather")]
    whole = write_csv(table, paths[0], rng)
    table.to_parquet(paths[1], index=False)
    table.to_feather(paths[2])
    found = []
    for path in paths:
        try:
            wanted = obvious.read(path)
        except obvious.RefusedError:
            wanted = None
        try:
            got = as_dict(read_bars(path))
        except DataError:
            got = None
        assert got == wanted, f"seed {seed}, {path.suffix}"
        found.append(wanted)
        path.unlink()
    assert found[1] == found[2]
    # A column of a CSV file in which nothing is known may hold numbers or text.
    known = [one and {name: values for name, values in one.items() if values} for one in found]
    assert not whole or known[0] == known[1]
    return [one is not None for one in found]


def shares(seeds: range, folder: Path) -> None:
    read = np.array([compare(seed, folder) for seed in seeds])
    assert 0.25 < read.mean() < 0.75, "a test of tables that are all read, or all refused, tests little"


def test_sixty_random_tables_are_read_as_a_slow_reader_does(tmp_path):
    shares(range(60), tmp_path)


@pytest.mark.slow
def test_five_hundred_random_tables_are_read_as_a_slow_reader_does(tmp_path):
    shares(range(1_000, 1_500), tmp_path)
