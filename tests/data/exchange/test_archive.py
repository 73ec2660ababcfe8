"""Binance's bulk archive, served by a loopback server and from a folder."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from foreshock.data.errors import ConfigError, DataError, ExchangeError
from foreshock.data.exchange.archive import Archive
from foreshock.data.store.series import SeriesKey
from foreshock.data.store.store import Store
from tests.servers.archive_server import DAY, HOURLY, LINEAR, SPOT_TRADES, ArchiveServer, checksum, put
from tests.servers.store_writers import BARS, MINUTE, START, TRADES, bars, between, trades


@pytest.fixture
def server(tmp_path):
    with ArchiveServer(tmp_path / "archive") as served:
        yield served


def archive(server, **options) -> Archive:
    return Archive(server.url, wait=0.001, timeout=5.0, **options)


def filled(source: Archive, tmp_path: Path, key: SeriesKey, start: int, stop: int) -> tuple[pa.Table, list[tuple[int, int]]]:
    store = Store(tmp_path / "store")
    missing = source.fill(store, key, start, stop)
    assert store.verify().whole
    return store.read(key), missing


@pytest.mark.parametrize("key", [BARS, LINEAR])
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("unit", [1, 1_000])
def test_bars_of_either_header_and_unit_arrive_and_holes_stay_missing(server, tmp_path, key, header, unit):
    table = bars(3 * 1_440, [(10, 12), (2_000, 2_001)])
    for date in ("2024-05-29", "2024-05-30", "2024-05-31"):
        put(server.root, key, table, date, header, unit)
    got, missing = filled(archive(server), tmp_path, key, START, START + 3 * DAY)
    assert got.equals(table)
    assert missing == [(START + a * MINUTE, START + b * MINUTE) for a, b in ((10, 12), (2_000, 2_001))]


def test_a_whole_month_is_one_file_and_a_folder_serves_as_well(server, tmp_path):
    june = START + 3 * DAY
    table = bars(40 * 1_440)
    put(server.root, BARS, table, "2024-06")
    for date in ("2024-05-31", "2024-07-01"):
        put(server.root, BARS, table, date)
    span = june - 60 * MINUTE, june + 30 * DAY + 120 * MINUTE
    got, missing = filled(archive(server), tmp_path, BARS, *span)
    assert (got.equals(between(table, *span)), missing) == (True, [])
    assert [name for name in server.asked if name.endswith(".zip")] == [
        f"BTCUSDT-1m-{date}.zip" for date in ("2024-05-31", "2024-06", "2024-07-01")
    ]
    pages = list(Archive(server.root).pages(BARS, *span))
    assert pa.concat_tables([page for page, _, _ in pages]).equals(got)


def test_days_that_the_archive_lacks_stay_missing_and_nothing_is_asked_twice(server, tmp_path):
    table = bars(3 * 1_440)
    for date in ("2024-05-29", "2024-05-31"):
        put(server.root, BARS, table, date)
    got, missing = filled(archive(server), tmp_path, BARS, START, START + 3 * DAY)
    assert missing == [(START + DAY, START + 2 * DAY)]
    assert len(got) == 2 * 1_440
    server.asked.clear()
    filled(archive(server), tmp_path, BARS, START, START + 3 * DAY)
    assert server.asked == ["BTCUSDT-1m-2024-05-30.zip"]


@pytest.mark.parametrize("key", [TRADES, SPOT_TRADES])
@pytest.mark.parametrize(("header", "unit"), [(False, 1), (True, 1_000)])
def test_trades_are_covered_from_the_first_to_the_last_and_over_midnight(server, tmp_path, key, header, unit):
    table = trades(9_000, 2)
    for date in ("2024-05-29", "2024-05-30", "2024-05-31", "2024-06-01"):
        put(server.root, key, table, date, header, unit)
    got, missing = filled(archive(server), tmp_path, key, START, START + 4 * DAY)
    time = table["time"].to_numpy()
    # What else came in the first and the last millisecond is not known.
    inside = table.filter(pa.array((time > time[0]) & (time < time[-1])))
    assert got.drop_columns("side").equals(inside.drop_columns("side"))
    assert got["side"].to_pylist() == inside["side"].to_pylist()
    assert missing == [(START, int(time[0]) + 1), (int(time[-1]), START + 4 * DAY)]


@pytest.mark.parametrize("lost", ["in a day", "the end of a day", "a day"])
def test_lost_trades_show_in_their_ids_and_their_time_stays_missing(server, tmp_path, lost):
    table = trades(9_000, 2)
    time = table["time"].to_numpy()
    midnight = int(np.searchsorted(time, START + DAY))
    first, stop = {"in a day": (700, 703), "the end of a day": (midnight - 4, midnight), "a day": (midnight, midnight + 2_880)}[
        lost
    ]
    stop = int(np.searchsorted(time, START + 2 * DAY)) if lost == "a day" else stop
    kept = pa.concat_tables([table.slice(0, first), table.slice(stop)])
    for date in ("2024-05-29", "2024-05-30", "2024-05-31", "2024-06-01"):
        if lost != "a day" or date != "2024-05-30":
            put(server.root, TRADES, kept, date)
    store = Store(tmp_path / "store")
    missing = archive(server).fill(store, TRADES, START, START + 4 * DAY)
    assert missing[1] == (int(time[first - 1]), int(time[stop]) + 1)
    assert len(missing) == 3
    covered = np.ones(len(table), dtype=bool)
    for begin, end in missing:
        covered &= (time < begin) | (time >= end)
    assert store.read(TRADES)["id"].to_pylist() == table["id"].to_numpy()[covered].tolist()
    for begin, end in missing:
        store.write(TRADES, between(table, begin, end), begin, end)
    assert store.read(TRADES)["id"].equals(table["id"])


def test_a_millisecond_whose_beginning_was_not_seen_stays_missing(server, tmp_path):
    # Trade 7,002 is lost, in the same millisecond as those around it and the last of its day.
    times = [0, 5, 9, 9, 9, DAY + 3, DAY + 8]
    whole = trades(7, 1).set_column(0, "time", pa.array(np.array(times) + START))
    kept = whole.take([0, 1, 2, 4, 5, 6]).set_column(1, "id", pa.array([7_000, 7_001, 7_002, 7_004, 7_005, 7_006]))
    for date in ("2024-05-29", "2024-05-30"):
        put(server.root, TRADES, kept, date)
    missing = archive(server).fill(Store(tmp_path / "store"), TRADES, START, START + 2 * DAY)
    assert [(first - START, stop - START) for first, stop in missing] == [(0, 1), (9, DAY + 4), (DAY + 8, 2 * DAY)]


@pytest.mark.parametrize("failures", [["503"], ["reset", "short"], ["500", "429", "reset"], ["", "short"]])
def test_a_download_that_fails_is_tried_again(server, tmp_path, failures):
    put(server.root, BARS, bars(1_440), "2024-05-29")
    server.failures[:] = failures
    assert filled(archive(server), tmp_path, BARS, START, START + DAY)[1] == []


@pytest.mark.parametrize(
    ("failures", "message"),
    [(["503"] * 9, "HTTP 503"), (["short"] * 9, "IncompleteRead"), (["451"], "HTTP 451"), (["403"], "HTTP 403")],
)
def test_an_archive_that_does_not_answer_is_said_so(server, tmp_path, failures, message):
    server.failures[:] = failures
    with pytest.raises(ExchangeError, match=f"the archive did not return http.*{message}"):
        archive(server).fill(Store(tmp_path / "store"), BARS, START, START + DAY)
    assert len(server.asked) == (1 if len(failures) == 1 else 4)


def rewritten(path: Path, name: str, text: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, text)
    checksum(path)


def spoilt_text(change) -> object:
    def spoil(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        rewritten(path, path.name.replace(".zip", ".csv"), change(text))

    return spoil


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def truncated_with_its_checksum(path: Path) -> None:
    truncated(path)
    checksum(path)


def with_bar(*values: float | str) -> object:
    """The third bar of the file has this open, high, low, close and volume."""

    def change(text: str) -> str:
        lines = text.splitlines()
        fields = lines[2].split(",")
        lines[2] = ",".join([fields[0], *map(str, values), *fields[6:]])
        return "\n".join(lines) + "\n"

    return spoilt_text(change)


def every(step: int) -> object:
    """Bars of a timeframe that is longer."""
    return spoilt_text(lambda text: "\n".join(text.splitlines()[::step]) + "\n")


IMPOSSIBLE = {
    "an open below zero": (with_bar(-5, 9, 7, 8, 1), "its open is -5.0, and must be positive and finite"),
    "a close of zero": (with_bar(8, 9, 7, 0, 1), "its close is 0.0"),
    "an unknown open": (with_bar("nan", 9, 7, 8, 1), "its open is nan"),
    "an endless high": (with_bar(8, "inf", 7, 8, 1), "its high is inf"),
    "a volume below zero": (with_bar(8, 9, 7, 8, -1), "its volume is -1.0, and must be finite and not negative"),
    "an endless volume": (with_bar(8, 9, 7, 8, "inf"), "its volume is inf"),
    "a high below the low": (with_bar(8, 7, 9, 8, 1), "its low is 9.0, above its open of 8.0"),
    "an open below the low": (with_bar(6, 9, 7, 8, 1), "its low is 7.0, above its open of 6.0"),
    "a close above the high": (with_bar(8, 9, 7, 10, 1), "its high is 9.0, below its close of 10.0"),
}
DAMAGES = {
    "a longer timeframe": (every(5), "must hold bars of 1m, got none that follow each other, .* 00:00 and 2024-05-29 00:05"),
    "truncated": (truncated, "fails its checksum"),
    "truncated before its checksum was made": (truncated_with_its_checksum, "cannot be read: File is not a zip file"),
    "wrong checksum": (lambda p: p.with_name(p.name + ".CHECKSUM").write_text("0" * 64 + f"  {p.name}\n"), "fails its checksum"),
    "checksum of another file": (
        lambda p: p.with_name(p.name + ".CHECKSUM").write_text(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  other.zip\n"),
        "fails its checksum",
    ),
    "empty checksum": (lambda p: p.with_name(p.name + ".CHECKSUM").write_text(""), "CHECKSUM says nothing"),
    "no checksum": (lambda p: p.with_name(p.name + ".CHECKSUM").unlink(), "has no BTCUSDT-1m-2024-05-29.zip.CHECKSUM"),
    "another file inside": (lambda p: rewritten(p, "../../etc/passwd", "x"), "must hold BTCUSDT-1m-2024-05-29.csv alone"),
    "another day": (spoilt_text(lambda text: text.replace("1716940800000", "1717200000000")), "must hold times of its own period"),
    "both units": (spoilt_text(lambda text: text.replace("1716940800000", "1716940800000000")), "more than one unit"),
    "a missing price": (spoilt_text(lambda text: text.replace("\n", "\n1716940860000,,1,1,1,1,1,1,1,1,1,1\n", 1)), "lack a value"),
    "text in a price": (
        spoilt_text(lambda text: text + "1716940860000,x,1,1,1,1,1,1,1,1,1,1\n"),
        "cannot be read: .*conversion error",
    ),
    "a short row": (spoilt_text(lambda text: text[:-40]), "cannot be read: "),
    "foreign columns": (spoilt_text(lambda text: "a,b,c\n1,2,3\n"), "its columns are a, b, c, expected open_time"),
    "HTML": (spoilt_text(lambda text: "<html><body>503</body></html>"), "its columns are <html>"),
}


@pytest.mark.parametrize("text", ["", "\n"])
def test_a_file_without_a_line_covers_nothing(server, tmp_path, text):
    spoilt_text(lambda _: text)(put(server.root, BARS, bars(1_440), "2024-05-29"))
    got, missing = filled(archive(server), tmp_path, BARS, START, START + DAY)
    assert (len(got), missing) == (0, [(START, START + DAY)])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_not_stored(server, tmp_path, damage):
    spoil, message = DAMAGES[damage]
    table = bars(2 * 1_440)
    spoil(put(server.root, BARS, table, "2024-05-29"))
    put(server.root, BARS, table, "2024-05-30")
    store = Store(tmp_path / "store")
    with pytest.raises(DataError, match=message) as caught:
        archive(server).fill(store, BARS, START, START + 2 * DAY)
    assert "BTCUSDT-1m-2024-05-29.zip" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.keys() == []


def test_bars_of_a_shorter_timeframe_are_refused_by_the_name_of_their_file(server, tmp_path):
    path = put(server.root, BARS, bars(1_440), "2024-05-29")
    hourly = Path(str(path).replace("1m", "1h"))
    hourly.parent.mkdir(parents=True)
    with zipfile.ZipFile(path) as archived:
        lines = archived.read(archived.namelist()[0]).decode().splitlines()
    rewritten(hourly, hourly.name.replace(".zip", ".csv"), "\n".join(lines[::30]) + "\n")
    store = Store(tmp_path / "store")
    key = SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1h")
    with pytest.raises(DataError, match=r"^BTCUSDT-1h-2024-05-29.zip must hold bars of 1h, got one that opens at 2024-05-29 00:30"):
        archive(server).fill(store, key, START, START + DAY)
    assert store.keys() == []


@pytest.mark.parametrize("damage", IMPOSSIBLE)
def test_one_bar_that_cannot_be_is_set_aside_and_the_rest_of_its_file_arrives(server, tmp_path, damage):
    spoil, reason = IMPOSSIBLE[damage]
    table = bars(2 * 1_440)
    spoil(put(server.root, BARS, table, "2024-05-29"))
    put(server.root, BARS, table, "2024-05-30")
    got, missing = filled(archive(server), tmp_path, BARS, START, START + 2 * DAY)
    bad = START + 2 * MINUTE
    assert missing == [(bad, bad + MINUTE)]
    assert got.equals(table.filter(pa.array(table["time"].to_numpy() != bad)))
    (note,) = Store(tmp_path / "store").notes(BARS)
    assert (note.time, note.what) == (bad, "set aside")
    assert note.reason.startswith("BTCUSDT-1m-2024-05-29.zip: " + reason)
    assert note.raw.startswith(f"[{bad}, ")


def test_a_file_of_bars_that_mostly_cannot_be_is_refused(server, tmp_path):
    def negative(text: str) -> str:
        return text.replace(",", ",-")

    spoilt_text(negative)(put(server.root, BARS, bars(1_440), "2024-05-29"))
    with pytest.raises(
        DataError, match=r"^BTCUSDT-1m-2024-05-29.zip holds a bar that cannot be, at 2024-05-29 00:00: .* 1439 more"
    ):
        archive(server).fill(Store(tmp_path / "store"), BARS, START, START + DAY)


def test_a_day_of_bars_off_the_hour_is_set_aside_and_the_rest_of_the_month_arrives(server, tmp_path):
    """Binance's bars of 9 to 11 February 2018 opened 28 minutes and 14.789 seconds past the hour."""
    times = START + 3 * DAY + 3_600_000 * np.arange(30 * 24)
    prices = {name: np.full(len(times), 100.0) for name in ("open", "high", "low", "close", "volume")}
    off = (times >= START + 11 * DAY) & (times < START + 13 * DAY)
    table = pa.table({"time": np.where(off, times + 1_694_789, times), **prices})
    put(server.root, HOURLY, table, "2024-06")
    got, missing = filled(archive(server), tmp_path, HOURLY, START + 3 * DAY, START + 33 * DAY)
    assert got["time"].to_pylist() == times[~off].tolist()
    assert missing == [(START + 11 * DAY, START + 13 * DAY)]
    assert {note.reason.partition(": ")[2] for note in Store(tmp_path / "store").notes(HOURLY)} == {
        "it does not open at a multiple of its length"
    }
    assert len(Store(tmp_path / "store").notes(HOURLY)) == 48


@pytest.mark.parametrize("value", ["-1.0", "nan", "inf"])
def test_a_trade_that_cannot_be_leaves_its_time_missing(server, tmp_path, value):
    table = trades(900, 2)
    price = table["price"].to_numpy().copy()
    price[5] = float(value)
    put(server.root, TRADES, table.set_column(2, "price", pa.array(price)), "2024-05-29")
    got, missing = filled(archive(server), tmp_path, TRADES, START, START + DAY)
    time = table["time"].to_numpy()
    assert (int(time[4]), int(time[6]) + 1) in missing
    assert 7_005 not in got["id"].to_pylist()
    assert len(got) > 800
    (note,) = Store(tmp_path / "store").notes(TRADES)
    assert note.reason.startswith(f"BTCUSDT-aggTrades-2024-05-29.zip: its price is {value}")


@pytest.mark.parametrize("column", ["price", "amount"])
def test_trades_of_nothing_are_dropped_and_counted_and_leave_no_gap(server, tmp_path, column):
    """Binance's archive has trades of quantity 0: github.com/binance/binance-public-data issues 263 and 342."""
    table = trades(900, 2)
    values = table[column].to_numpy().copy()
    values[[5, 6, 300]] = 0.0
    at = table.column_names.index(column)
    put(server.root, TRADES, table.set_column(at, column, pa.array(values)), "2024-05-29")
    store = Store(tmp_path / "store")
    start, stop = int(table["time"][0].as_py()) + 1, int(table["time"][-1].as_py())
    assert archive(server).fill(store, TRADES, start, min(stop, START + DAY - 1)) == []
    got = store.read(TRADES)["id"].to_pylist()
    assert {7_005, 7_006, 7_300}.isdisjoint(got)
    assert {7_004, 7_007, 7_299, 7_301} <= set(got)
    assert [(note.what, note.time) for note in store.notes(TRADES)] == [
        ("dropped", table["time"][at].as_py()) for at in (5, 6, 300)
    ]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("bybit", "linear", "BTC/USDT:USDT", "ohlcv", "1m"), "the archive is Binance's, got bybit"),
        (("binance", "spot", "BTC/USDT", "ohlcv", "7m"), "the archive has the timeframes 1s, 1m"),
        (("binance", "linear", "BTC/USDT:USDT", "ohlcv", "1s"), "no ohlcv 1s of the linear market"),
        (("binance", "linear", "BTC/USDT:USDT", "funding"), "no funding of the linear market"),
        (("binance", "linear", "BTC/USDT", "ohlcv", "1m"), "written BTC/USDT:USDT, got BTC/USDT"),
        (("binance", "linear", "BTC/USD:BTC", "ohlcv", "1m"), "written BTC/USDT:USDT"),
    ],
)
def test_what_the_archive_cannot_have_is_refused(tmp_path, parts, message):
    with pytest.raises(ConfigError, match=message):
        Archive(tmp_path).fill(Store(tmp_path / "store"), SeriesKey(*parts), START, START + DAY)


def test_a_source_that_is_neither_address_nor_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="archive must be public, an address that begins with http, or a folder"):
        Archive(tmp_path / "none")
    with pytest.raises(ConfigError, match="archive must be public, an address that begins with http, or a folder"):
        Archive("ftp://data.binance.vision")
    with pytest.raises(ConfigError, match="archive must be public, an address that begins with http, or a folder, got 5"):
        Archive(5)  # pyright: ignore[reportArgumentType]
