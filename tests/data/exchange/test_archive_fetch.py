"""The bulk archive before the exchange: one market served by both ends as the exchange alone would have it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import foreshock as fs
from foreshock.data.bars import FIELDS
from foreshock.data.errors import ExchangeError
from foreshock.data.exchange.patience import Pace
from foreshock.data.store.series import SeriesKey
from foreshock.data.store.store import Store
from tests.console import foreshock
from tests.paths import snapshot
from tests.servers.archive_server import DAY, LINEAR, SPOT_TRADES, ArchiveServer, put
from tests.servers.exchange_server import HOUR_MS, START_MS, ExchangeServer, Market, plant_holes, tick_trades, walk
from tests.servers.fetched import partitions
from tests.servers.store_writers import BARS, TRADES

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
STOP = START_MS + 4 * DAY + 6 * HOUR_MS
RANGE = ("--start", "2024-01-01", "--end", "2024-01-05T06:00")


def bar_table(bars: np.ndarray) -> pa.Table:
    columns = dict(zip(FIELDS, bars[:, 1:].T, strict=True))
    return pa.table({"time": bars[:, 0].astype(np.int64), **{name: np.ascontiguousarray(x) for name, x in columns.items()}})


def trade_table(trades: np.ndarray) -> pa.Table:
    ids, time = (trades[:, column].astype(np.int64) for column in (0, 1))
    price, amount = (np.ascontiguousarray(trades[:, column]) for column in (2, 3))
    return pa.table({"time": time, "id": ids, "price": price, "amount": amount, "side": np.where(trades[:, 4], "buy", "sell")})


@pytest.fixture(scope="module")
def market():
    bars, _ = plant_holes(walk(4 * 1_440 + 360), 12, widest=300)
    trades = tick_trades(8_000, start=START_MS + DAY // 2)
    trades[6_000:, 1] += DAY
    return Market("BTC", bars=bars, trades=trades)


@pytest.fixture(scope="module")
def files(market, tmp_path_factory):
    """The archive lacks a day, the last hours, and bars that the exchange has."""
    root = tmp_path_factory.mktemp("archive")
    lost = np.delete(market.bars, slice(2_000, 2_005), axis=0)
    for key, rows in ((BARS, bar_table(lost)), (LINEAR, bar_table(lost)), (SPOT_TRADES, trade_table(market.trades))):
        for date in DAYS[:2] + DAYS[3:]:
            put(root, key, rows, date, header=key is LINEAR)
    for date in DAYS:
        put(root, TRADES, trade_table(market.trades), date, header=True)
    return root


@pytest.fixture
def both(market, files, tmp_path, monkeypatch):
    """An exchange and an archive of the same market."""
    monkeypatch.setattr(Pace, "turn", lambda self, seconds: self._sleep(0))
    shutil.copytree(files, tmp_path / "archive")
    with ExchangeServer([market], [market], now=STOP + HOUR_MS) as exchange, ArchiveServer(tmp_path / "archive") as archive:
        monkeypatch.setenv("FORESHOCK_BASE_URL", exchange.url)
        yield exchange, archive


def fetch(monkeypatch, capsys, folder: Path, key: SeriesKey, *more: str) -> tuple[int, str, str]:
    given = [key.symbol, "--kind", key.kind, "--store", str(folder), *RANGE, *more]
    return foreshock(monkeypatch, capsys, "fetch", *given, *(["--timeframe", key.timeframe] if key.timeframe else []))


@pytest.mark.parametrize("key", [BARS, LINEAR, TRADES, SPOT_TRADES], ids=str)
def test_with_the_archive_the_store_is_byte_for_byte_that_of_the_exchange_alone(both, tmp_path, monkeypatch, capsys, key):
    exchange, archive = both
    code, out, _ = fetch(monkeypatch, capsys, tmp_path / "alone", key)
    assert (code, "from the archive" in out) == (0, False)
    n_alone = len(exchange.requests)
    exchange.requests.clear()
    code, out, _ = fetch(monkeypatch, capsys, tmp_path / "both", key, "--archive", archive.url)
    n_archived = int(out.split("fetched (")[1].split(" from the archive")[0].replace(",", ""))
    alone, together = Store(tmp_path / "alone"), Store(tmp_path / "both")
    assert alone.verify().whole
    assert together.verify().whole
    assert partitions(together.folder) == partitions(alone.folder)
    n_rows = len(together.read(key))
    assert 0.6 * n_rows < n_archived < n_rows
    assert len(exchange.requests) < n_alone + 20
    archive.asked.clear()
    exchange.requests.clear()
    fetch(monkeypatch, capsys, tmp_path / "both", key, "--archive", archive.url)
    assert not [path for path in exchange.requests if "klines" in path]
    assert not [name for name in archive.asked if any(date in name for date in DAYS[:2])]


def test_load_bars_takes_a_folder_as_an_archive(both, tmp_path):
    exchange, archive = both
    given = {"timeframe": "1m", "start": "2024-01-01", "end": "2024-01-05T06:00"}
    alone = fs.load_bars("BTC/USDT", store=tmp_path / "alone", **given)
    asked = _starts(exchange)
    exchange.requests.clear()
    found = fs.load_bars("BTC/USDT", store=tmp_path / "both", archive=archive.root, **given)
    assert found.fingerprint() == alone.fingerprint()
    # The first bar is in the archive.
    assert START_MS in asked
    assert START_MS not in _starts(exchange)


def _starts(exchange: ExchangeServer) -> list[int]:
    return [int(path.split("startTime=")[1].split("&")[0]) for path in exchange.requests if "startTime=" in path]


def test_an_archive_serves_a_place_that_the_exchange_does_not(both, tmp_path, monkeypatch):
    exchange, archive = both
    monkeypatch.setattr(Pace, "_sleep", lambda self, seconds: None)
    exchange.faults = {"451": 1.0}
    given = {"timeframe": "1m", "store": tmp_path, "archive": archive.url}
    put(archive.root, BARS, bar_table(walk(1_440)), "2024-01-01")
    assert fs.load_bars("BTC/USDT", start="2024-01-01", end="2024-01-02", **given).n_bars == 1_440
    with pytest.raises(ExchangeError, match="does not serve this location"):
        fs.load_bars("BTC/USDT", start="2024-01-01", end="2024-01-05", **given)
    assert len(Store(tmp_path).read(BARS)) > 3_000


def test_a_short_range_is_asked_of_the_exchange(both, tmp_path):
    _, archive = both
    fs.load_bars("BTC/USDT", timeframe="1m", start="2024-01-01", end="2024-01-01T20:00", store=tmp_path, archive=archive.url)
    assert archive.asked == []


def test_a_market_that_there_is_not_is_not_looked_for_in_the_archive(both, tmp_path, monkeypatch, capsys):
    _, archive = both
    code, _, err = fetch(monkeypatch, capsys, tmp_path / "store", replace(BARS, symbol="BTC/USDX"), "--archive", archive.url)
    assert (code, archive.asked) == (2, [])
    assert err.startswith("error: binance has no market 'BTC/USDX'")


def test_years_before_a_listing_cost_two_questions_a_month(both, tmp_path):
    _, archive = both
    fs.load_bars("BTC/USDT", timeframe="1m", start="2022-01-01", end="2024-01-02", store=tmp_path, archive=archive.url)
    before = [name for name in archive.asked if "2022" in name or "2023" in name]
    assert len(before) == 48


@pytest.mark.parametrize("damage", ["truncated", "checksum", "impossible"])
def test_a_damaged_file_exits_with_3_and_leaves_the_store_as_it_was(both, tmp_path, monkeypatch, capsys, damage):
    _, archive = both
    folder, key = tmp_path / "store", BARS
    assert fetch(monkeypatch, capsys, folder, key, "--end", "2024-01-01T05:00")[0] == 0
    before = snapshot(folder)
    path = archive.root / "data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-01.zip"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "impossible":
        rows = bar_table(walk(1_440))
        put(archive.root, key, rows.set_column(3, "low", pa.array(rows["low"].to_numpy() * -1)), "2024-01-01")
    else:
        path.with_name(path.name + ".CHECKSUM").write_text(f"{'0' * 64}  {path.name}\n")
    code, out, err = fetch(monkeypatch, capsys, folder, key, "--archive", archive.url)
    assert (code, out, err.count("\n")) == (3, "", 1)
    said = "holds a bar that cannot be" if damage == "impossible" else "fails its checksum"
    assert err.startswith(f"error: BTCUSDT-1m-2024-01-01.zip {said}")
    assert snapshot(folder) == before
    # Without the archive the fetch goes on.
    assert fetch(monkeypatch, capsys, folder, key)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--archive", "nowhere"], "an address that begins with http, or a folder that is there, got nowhere"),
        (["--archive", ""], "archive must be public, an address that begins with http, or a folder that is there, got none"),
        (["--archive", "public", "--exchange", "bybit"], "the archive is Binance's, got bybit"),
        (["--archive", "public", "--kind", "funding"], "the archive has no funding of the spot market"),
        (["--archive", "public", "--timeframe", "7m"], "the archive has the timeframes 1s, 1m"),
    ],
)
def test_an_archive_that_cannot_be_is_wrong_use(tmp_path, monkeypatch, capsys, arguments, message):
    code, _, err = foreshock(monkeypatch, capsys, "fetch", "BTC/USDT", *RANGE, "--store", str(tmp_path / "store"), *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "store").exists()
