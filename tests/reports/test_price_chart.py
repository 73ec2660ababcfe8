"""The price chart: what is packed for the page is what the bars and alerts are, and nothing is invented or lost."""

import base64
import html
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from foreshock.data.bars import PRICES
from foreshock.data.errors import ConfigError
from foreshock.reports.parts import format as fmt
from foreshock.reports.price.chart import N_MARKED, N_STILLS, PriceChart, PriceHistory
from foreshock.reports.price.payload import decimals_of, packed, unpacked
from foreshock.reports.price.still import N_STRETCHES, TOP, price_ticks, still
from tests.made.prices import REGIMES, gappy, watched
from tests.made.study import bare_report
from tests.market import make_bars

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=cmd|' /C calc'!A0")


def read_back(chart: PriceChart, symbol: int) -> list[np.ndarray]:
    """Open, high, low, close as the page's script makes them, and the regimes."""
    head = json.loads(chart.head)
    described = head["symbols"][symbol]
    known, step, body, above, below, *labels = unpacked(chart.bars[symbol], head["n"], described["widths"])
    tick, last, rows = 10.0 ** described["decimals"], 0, []
    for row in range(head["n"]):
        open_ = last + step[row]
        close = open_ + body[row]
        rows.append([open_, max(open_, close) + above[row], min(open_, close) - below[row], close] if known[row] else [np.nan] * 4)
        last = close if known[row] else last
    return [*(np.array(rows).T / tick), *(column - 1 for column in labels)]


def views_of(chart: PriceChart, symbol: int) -> list[dict]:
    return json.loads(zlib.decompress(base64.b64decode(chart.alerts[symbol])))


def test_every_bar_comes_back_to_its_last_digit_and_a_missing_one_stays_missing():
    bars = gappy()
    chart = watched(bars).chart()
    for column in range(2):
        *prices, _ = read_back(chart, column)
        for name, found in zip(PRICES, prices, strict=True):
            np.testing.assert_array_equal(found, getattr(bars, name)[:, column], err_msg=name)


@pytest.mark.parametrize("level", [6e4, 1.0, 1e-6, 3e-9])
def test_prices_without_a_tick_are_rounded_to_five_digits_of_the_lowest(level):
    bars = make_bars(400, 1)
    scale = level / bars.low.min()
    bars = replace(bars, **{name: getattr(bars, name) * scale for name in PRICES})
    (*prices,) = read_back(PriceHistory(bars).chart(), 0)
    for name, found in zip(PRICES, prices, strict=True):
        np.testing.assert_allclose(found, getattr(bars, name)[:, 0], atol=level * 0.5000001e-4, rtol=0, err_msg=name)
        assert not np.array_equal(found, getattr(bars, name)[:, 0])


def test_the_tick_is_the_markets_where_there_is_one():
    assert decimals_of(np.array([64_123.45, 0.5, np.nan])) == 2
    assert decimals_of(np.array([0.00001234, 0.00001235])) == 8
    assert decimals_of(np.array([120_000.0, 64_500.0])) == 0
    assert decimals_of(np.full(3, np.nan)) == 0


def test_regimes_come_back_with_the_unknown_ones():
    history = watched(gappy())
    chart = history.chart()
    for column in range(2):
        np.testing.assert_array_equal(read_back(chart, column)[-1], history.regimes[1][:, column])
    assert json.loads(chart.head)["regimes"] == list(REGIMES)


def test_every_alert_is_counted_and_the_highest_scores_are_marked_and_listed():
    history = watched(gappy())
    bars, chart = history.bars, history.chart()
    for column, symbol in enumerate(bars.symbols):
        for (name, (active, scores)), view in zip(history.alerts.items(), views_of(chart, column), strict=True):
            rows = np.flatnonzero(active[:, column])
            assert np.cumsum(view["rows"]).tolist() == rows.tolist()
            expected = sorted(rows.tolist(), key=lambda row: -scores[row, column])[:N_MARKED]
            assert [row for row, _ in view["top"]] == expected
            assert f"{len(rows)} alerts, ▼ the 20 with the highest scores" in view["note"]
            row, cells = view["top"][0]
            # An alert belongs to the regime that it came out of.
            regime = history.regimes[1][row - 1, column]
            close = bars.close[row, column]
            assert [text for text, _ in cells] == [
                fmt.moment(str(bars.time[row])), symbol, name, fmt.number(scores[row, column]),
                REGIMES[regime] if regime >= 0 else fmt.DASH, fmt.price(close),
            ]  # fmt: skip
            assert cells[3][1] == scores[row, column]
    assert [[cell.text for cell in row] for row in chart.table.rows] == [
        [text for text, _ in cells] for _, cells in views_of(chart, 0)[0]["top"]
    ]


def test_the_words_say_what_is_shown_in_which_unit_and_how_much():
    bars = replace(gappy(), symbols=("BTC/USDT:USDT", "ETH"))
    quiet = np.zeros(bars.close.shape, dtype=bool)
    chart = PriceHistory(bars, {"mad": (quiet, bars.close)}).chart()
    assert chart.title == "BTC/USDT:USDT: price and the alerts of mad"
    assert chart.note == "candles of 1h, price in USDT, log scale, UTC; n = 560 bars, 40 missing between them; 0 alerts"
    other = views_of(chart, 1)[0]["note"]
    assert other == "candles of 1h, price in quote currency, log scale, UTC; n = 550 bars; 0 alerts"
    quiet[60, 1] = True
    assert views_of(PriceHistory(bars, {"mad": (quiet, bars.close)}).chart(), 1)[0]["note"].endswith("; 1 alert, each marked ▼")
    alone = PriceHistory(bars).chart()
    assert (alone.title, alone.table) == ("BTC/USDT:USDT: price", None)
    assert watched(bars).chart().title == "BTC/USDT:USDT: price, regimes and the alerts of zscore"


def test_ranges_longer_than_the_history_are_not_offered():
    assert watched(gappy()).chart().ranges == [("All", 0)]
    assert watched(make_bars(3_000, 1)).chart().ranges == [("All", 0), ("Last 90 days", 2_160)]
    assert watched(make_bars(400, 1, interval="1d")).chart().ranges[1] == ("Last year", 365)


def test_a_still_picture_keeps_the_highest_and_the_lowest_price():
    bars = make_bars(5_000, 1)
    bars.high[2_718, 0] *= 3
    bars.low[3_141, 0] /= 3
    none = np.zeros(5_000, dtype=bool)
    found = still(("", ""), bars.time, (bars.high[:, 0], bars.low[:, 0], bars.close[:, 0]), None, none, np.array([], dtype=int))
    spans = [tuple(map(float, span)) for span in re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", found.range)]
    assert len(spans) == N_STRETCHES
    tops = np.array([top for _, top, _ in spans])
    feet = np.array([foot for *_, foot in spans])
    assert tops.argmin() == 2_718 // 10
    assert feet.argmax() == 3_141 // 10
    # The scale is logarithmic: a factor of three is as high above its neighbours as one of a third is below.
    log_span = np.log(bars.high.max() / bars.low.min()) * 1.06
    height = (feet.max() - tops.min()) / (np.log(bars.high.max() / bars.low.min()) / log_span)
    stretch = bars.high[1_000:1_010, 0].max()
    expected = TOP + height * (np.log(bars.high.max() / stretch) / log_span + 0.03 / 1.06)
    assert tops[100] == pytest.approx(expected, abs=0.3)


def test_a_still_picture_leaves_out_what_is_missing_and_breaks_its_line_there():
    history = watched(gappy())
    chart = history.chart()
    first, second = chart.stills
    assert first.close.count("M") == 2
    assert second.close.count("M") == 1
    assert "nan" not in json.dumps(first.__dict__, default=vars)
    for found, column in ((first, 0), (second, 1)):
        assert found.marks.count("z") == N_MARKED
        assert len(found.bands) == len(REGIMES)
        n_cells = found.counts.count("M")
        # 600 bars in 500 stretches: two neighbouring alerts may share one.
        assert 0.8 * history.alerts["zscore"][0][:, column].sum() < n_cells <= history.alerts["zscore"][0][:, column].sum()


def test_of_many_symbols_the_first_eight_have_a_picture_for_print():
    chart = watched(gappy(300, 11)).chart()
    assert [picture.title.split(":")[0] for picture in chart.stills] == list("ABCDEFGH")
    assert len(chart.stills) == N_STILLS
    assert len(chart.bars) == 11


def test_ticks_of_a_price_axis_are_few_round_and_within_it():
    for lowest, highest in ((1e-9, 3e-9), (0.9, 1.1), (100, 101), (1, 1e7), (59_000, 64_000), (1.0, 1.0001)):
        found = [price for price, _ in price_ticks(lowest, highest)]
        assert 2 <= len(found) <= 7, (lowest, highest, found)
        assert lowest <= found[0] < found[-1] <= highest
        texts = [text for _, text in price_ticks(lowest, highest)]
        assert [float(text.replace(",", "")) for text in texts] == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("n_bars", [1, 2, 7])
def test_a_few_bars_or_none_known_are_drawn(n_bars):
    assert "M" in PriceHistory(make_bars(n_bars, 1)).chart().stills[0].range
    bars = make_bars(n_bars, 1)
    for name in (*PRICES, "volume"):
        getattr(bars, name)[:] = np.nan
    chart = PriceHistory(bars).chart()
    assert chart.stills[0].range == ""
    assert "n = 0 bars" in chart.note


def test_a_column_of_any_size_and_sign_comes_back():
    columns = [np.array([0, -1, 1, 127, -128, 2**40, -(2**52)]), np.zeros(7, dtype=np.int64), np.arange(7) * 300]
    widths, text = packed(columns)
    assert widths == [7, 1, 2]
    for found, column in zip(unpacked(text, 7, widths), columns, strict=True):
        np.testing.assert_array_equal(found, column)


def test_what_does_not_fit_the_bars_is_refused_by_its_name():
    bars = make_bars(100, 2)
    quiet, scores = np.zeros((100, 2), dtype=bool), np.zeros((100, 2))
    with pytest.raises(ConfigError, match=r"alerts of 'mad' must be .* \(100, 2\), got bool \(99, 2\)"):
        PriceHistory(bars, {"mad": (quiet[1:], scores)})
    with pytest.raises(ConfigError, match="got float64"):
        PriceHistory(bars, {"mad": (scores, scores)})
    with pytest.raises(ConfigError, match=r"regimes must be numbered from -1 \(not known\) to 1, got 0 to 2"):
        PriceHistory(bars, regimes=(("a", "b"), np.tile(np.array([[0, 2]]), (100, 1))))
    with pytest.raises(ConfigError, match=r"regimes must have the shape \(100, 2\), got an array of shape \(100,\)"):
        PriceHistory(bars, regimes=(("a",), np.zeros(100, dtype=int)))
    with pytest.raises(ConfigError, match="got float64"):
        PriceHistory(bars, regimes=(("a",), scores))
    with pytest.raises(ConfigError, match="whole number of seconds, got 500ms"):
        PriceHistory(make_bars(100, 2, interval="500ms"))


def test_only_a_page_with_a_price_chart_carries_its_script():
    page, other = watched(gappy()).to_html(), bare_report().to_html()
    assert page.count("<script>") == 4
    assert "TradingView Lightweight Charts" in page
    assert other.count("<script>") == 2
    assert "LightweightCharts" not in other


def test_the_creator_of_the_chart_library_is_named_with_a_link_as_its_licence_asks():
    page = watched(gappy()).to_html()
    shown = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    assert "TradingView Lightweight Charts™, Copyright © 2026 TradingView, Inc." in shown
    assert '<a href="https://www.tradingview.com/"' in shown


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_symbols_detectors_and_regimes_are_text(name):
    bars = replace(gappy(), symbols=(name, "ETH"))
    history = watched(bars, (name,))
    page = replace(history, regimes=((name, "b", "c"), history.regimes[1])).to_html()
    clean = watched(gappy(), ("zscore",)).to_html()
    assert "<img" not in page
    for tag in ("<script", "</script", "<!--", "<tr>", "<option", "<text", "<td"):
        assert page.count(tag) == clean.count(tag), tag
    assert html.unescape(page).count(name) > 10
