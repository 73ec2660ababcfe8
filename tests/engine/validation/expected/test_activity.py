"""The expected activity: the same bits row by row, blind to the future, and right on later bars."""

from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.validation.moves.moves import moves_after, typical_move
from tests.market import make_bars
from tests.studies.parts.nulls import history

N_FIT, N_BARS = 1_600, 2_000


def gappy(n_symbols: int, interval: str = "1h") -> fs.Bars:
    """Bars of which some are not known, of some symbols or of all."""
    bars = history("long memory", N_BARS, 3, n_symbols)
    rng = np.random.default_rng(1)
    gone = rng.random(bars.shape) < 0.02
    gone[rng.random(N_BARS) < 0.01] = True
    gone[400:460] = True
    values = {name: np.where(gone, np.nan, getattr(bars, name)) for name in ("open", "high", "low", "close", "volume")}
    step = np.timedelta64(1, "h") if interval == "1h" else np.timedelta64(5, "m")
    time = bars.time[0] + np.arange(N_BARS) * step
    return replace(bars, time=time, interval=step.astype("timedelta64[us]"), **values)


@pytest.mark.parametrize(("n_symbols", "interval"), [(1, "1h"), (3, "1h"), (2, "5m")])
def test_row_by_row_it_has_the_bits_of_the_whole(n_symbols, interval, tmp_path):
    bars = gappy(n_symbols, interval)
    expected = fs.ActivityForecast([bars.interval, 6 * bars.interval, 24 * bars.interval]).fit(bars.head(N_FIT))
    whole = expected.forecast(bars)
    assert list(whole) == ["volatility", "volume"]
    stream, other = fs.ActivityStream(expected).after(bars.head(1)), None
    for row in range(1, N_BARS):
        found = stream.update(bars.rows(slice(row, row + 1)))
        for rung, values in whole.items():
            np.testing.assert_array_equal(found[rung], values[row])
        if row == 700:
            stream.save(tmp_path / "stream.safetensors")
            other = fs.ActivityStream(expected).load(tmp_path / "stream.safetensors")
        elif row > 700:
            again = other.update(bars.rows(slice(row, row + 1)))
            assert all(np.array_equal(again[rung], found[rung], equal_nan=True) for rung in whole)
        if row == 900:
            other = fs.ActivityStream(expected).restore(stream.state())
    known = ~np.isnan(bars.close)
    assert np.array_equal(np.isfinite(whole["volume"]).all(axis=2), known)


def test_later_bars_change_nothing():
    bars = gappy(2)
    expected = fs.ActivityForecast(["6h"]).fit(bars.head(N_FIT))
    whole, short = expected.forecast(bars), expected.forecast(bars.head(N_FIT + 50))
    for rung, values in short.items():
        np.testing.assert_array_equal(values, whole[rung][: N_FIT + 50])


@pytest.mark.parametrize(("horizon", "told"), [(1, 0.25), (24, 0.4)])
def test_it_is_right_on_later_bars(horizon, told):
    # Volatility follows an autoregression, and volume is its shadow.
    bars = history("long memory", 8_000, 7, 2)
    expected = fs.ActivityForecast([f"{horizon}h"]).fit(bars.head(5_000))
    path = moves_after(bars, horizon).path / typical_move(bars.head(5_000))
    later = slice(5_000, 8_000 - horizon - 1)
    true = path[later] / np.nanmean(path[:5_000])
    errors = {}
    for rung, values in expected.forecast(bars).items():
        found = values[later, :, 0]
        assert 0.8 < true.mean() / found.mean() < 1.2
        assert np.corrcoef(np.log(found).ravel(), np.log(true).ravel())[0, 1] > told
        errors[rung] = np.mean((np.log(true) - np.log(found)) ** 2)
    assert errors["volume"] < np.var(np.log(true))


def test_without_volumes_there_is_one_forecast_and_with_marks_there_are_two():
    bars = make_bars(1_500, 1)
    quiet = replace(bars, volume=np.ones(bars.shape))
    assert list(fs.ActivityForecast(["1h"]).fit(quiet).forecast(quiet)) == ["volatility"]
    marks = {"trades": np.abs(bars.close * bars.volume)}
    expected = fs.ActivityForecast(["1h"]).fit(quiet, marks)
    found = expected.forecast(quiet, marks)["volume"]
    row = (
        fs.ActivityStream(expected)
        .after(quiet.head(1_499), {"trades": marks["trades"][:1_499]})
        .update(quiet.rows(slice(1_499, 1_500)), {"trades": marks["trades"][1_499:]})
    )
    np.testing.assert_array_equal(row["volume"], found[-1])
    with pytest.raises(DataError, match="was fitted with the marks trades, it lacks trades"):
        expected.forecast(quiet)


def streamed(bars: fs.Bars) -> fs.ActivityStream:
    return fs.ActivityStream(fs.ActivityForecast(["1h"]).fit(bars))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda bars: fs.ActivityForecast(["1h"]).forecast(bars), "is not fitted; call fit"),
        (lambda bars: fs.ActivityForecast(["1h", "60m"]), "horizons must differ"),
        (lambda bars: fs.ActivityForecast(["1h"]).fit(bars.head(100)), r"needs \d+ rows, got \d+ of 100 bars"),
        (lambda bars: fs.ActivityForecast(["1h"]).fit(bars).forecast(make_bars(600, 2)), "was fitted on .* in bars of 1h, got "),
        (lambda bars: fs.ActivityForecast(["1h"]).fit(bars, {"x": np.ones(3)}), r"the shape of the bars, \(1500, 1\), got \(3,\)"),
        (
            lambda bars: (
                fs.ActivityStream(fs.ActivityForecast(["1h"]).fit(bars)).after(bars.head(900)).update(bars.rows(slice(901, 902)))
            ),
            "bars must come one 1h after the other, got .* pass unknown bars for those that are missing",
        ),
    ],
)
def test_what_cannot_be_is_refused(ask, message):
    with pytest.raises((ConfigError, DataError), match=message):
        ask(make_bars(1_500, 1))
