"""Conditions and characteristics by name: what each says, that no later row has a part in it, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.conditions import clock, symbol_of
from foreshock.detectors.neural.latent.characteristics import Characteristics
from foreshock.detectors.registry import load_detector
from foreshock.engine.features.features import Features
from tests.small import small_detector, train_rows, with_values

SYMBOLS = ("AAA/USDT", "BTC/USDT", "CCC/USDT")
EVERY = ("return_24", "btc", "market:CCC/USDT", "hour", "regime", "funding_rate", "open_interest")
TRAIN = slice(0, 800)


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Hourly bars with a funding rate every eighth hour and an open interest."""
    rng = np.random.default_rng(5)
    plain = fs.simulate_market(seed=3, n_symbols=3, n_bars=1_200).bars
    funding = np.full(plain.shape, np.nan)
    funding[::8] = rng.normal(0, 1e-4, funding[::8].shape)
    return replace(plain, symbols=SYMBOLS, extras={"funding_rate": funding, "open_interest": rng.exponential(size=plain.shape)})


@pytest.fixture(scope="module")
def named(features) -> Features:
    return replace(features, symbols=SYMBOLS)


# Features


def test_a_column_of_extras_is_a_feature_and_a_funding_rate_stands_for_a_day(bars):
    found = fs.ohlcv_features(bars, ["open_interest", "log_return", "funding_rate"])
    np.testing.assert_array_equal(found.column("open_interest"), bars.extras["open_interest"])
    np.testing.assert_array_equal(found.column("log_return"), fs.ohlcv_features(bars, ["log_return"]).column("log_return"))
    funding = bars.extras["funding_rate"].copy()
    funding[104:] = np.nan
    rates = fs.ohlcv_features(replace(bars, extras={"funding_rate": funding}), ["funding_rate"]).column("funding_rate")
    # The last is that of row 96, which stands for 24 rows.
    np.testing.assert_array_equal(rates[:120], np.repeat(funding[:97:8], 8, axis=0)[:104].tolist() + [funding[96].tolist()] * 16)
    assert np.isnan(rates[120:]).all()
    with pytest.raises(ConfigError, match=r"unknown feature 'fundin_rate'; .*, or a column of extras: funding_rate"):
        fs.ohlcv_features(bars, ["fundin_rate"])


def test_histories_that_have_no_extras_are_not_drawn_of_them(bars):
    assert fs.BarSource(bars, ["log_return", "funding_rate"]).redraw is None
    assert fs.BarSource(bars, ["log_return"]).redraw is not None


# Characteristics


def characteristics(bars: Bars, names=EVERY) -> np.ndarray:
    return Characteristics(bars, names, 0).of_fold(TRAIN)(slice(0, bars.n_bars))


def test_characteristics_are_those_of_the_row_before(bars):
    found = characteristics(bars)
    # return_24, funding and open interest have one column each, btc and another symbol two, hour and regime four.
    assert found.shape == (*bars.shape, 15)
    known = found[~np.isnan(found)]
    assert known.min() >= -0.5
    assert known.max() <= 0.5
    row = 1_000
    for name, col in (("BTC/USDT", 1), ("CCC/USDT", 3)):
        for k, feature in enumerate(("return_24", "volatility_24")):
            own = fs.ohlcv_features(bars.select(name), [feature]).values[row - 168 : row, 0, 0]
            np.testing.assert_allclose(found[row, :, col + k], (own <= own[-1]).mean() - 0.5)
    np.testing.assert_allclose(found[row, 0, 5:9], 0.5 * clock(bars.time[row - 1 : row])[0])
    fitted: Any = fs.make_detector("kmeans_regime").fit(fs.ohlcv_features(bars.head(800), ["volatility_20", "return_24"]))
    labels = fitted.regimes(fs.ohlcv_features(bars, ["volatility_20", "return_24"])).labels
    assert found[row, :, 9:13].argmax(axis=1).tolist() == labels[row - 1].tolist()
    rates = bars.extras["open_interest"][row - 1]
    np.testing.assert_allclose(found[row, :, 14], rates.argsort().argsort() / 2 - 0.5)


def test_later_bars_change_no_earlier_characteristic(bars):
    found = characteristics(bars)
    for cut in (900, 1_041):
        np.testing.assert_array_equal(characteristics(bars.head(cut)), found[:cut])
    changed = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    extras = {name: values.copy() for name, values in bars.extras.items()}
    for values in (*changed.values(), *extras.values()):
        values[1_000:] *= 1.5
    other = characteristics(replace(bars, **changed, extras=extras))
    np.testing.assert_array_equal(other[:1_001], found[:1_001])
    assert not np.array_equal(other[1_001:], found[1_001:])


def test_latent_factors_take_characteristics_by_name(bars):
    splits = fs.WalkForward("30D", "10D", "1D")
    found = fs.latent_factors(bars, n_factors=1, splits=splits, epochs=1, characteristics=EVERY)
    assert np.isfinite(found.fit["total_r2"])
    short = fs.latent_factors(bars.head(1_000), n_factors=1, splits=splits, epochs=1, characteristics=EVERY)
    np.testing.assert_allclose(short.loadings, found.loadings[:1_000], rtol=1e-9)
    # The clock is the same for all symbols, so their loadings are too.
    clocked = fs.latent_factors(bars, n_factors=1, splits=splits, epochs=1, characteristics=["hour"]).loadings[:, :, 0]
    np.testing.assert_allclose(clocked[-100:, 1], clocked[-100:, 0], rtol=1e-9)
    assert np.ptp(clocked[-100:, 0]) > 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("moon",), "unknown feature 'moon'; .*; other characteristics are btc, market:SYMBOL, hour and regime"),
        (("market:DDD",), r"'market:DDD' names a symbol that is not there, got AAA/USDT, BTC/USDT, CCC/USDT"),
        ((), "characteristics must be a list of at least one name"),
        ("btc", "characteristics must be a list"),
    ],
)
def test_a_characteristic_that_there_is_not_is_refused(names, message, bars):
    with pytest.raises(ConfigError, match=message):
        fs.latent_factors(bars, n_factors=1, characteristics=names)
    with pytest.raises(ConfigError, match="'btc' names a symbol that is not there, got AAA/USDT"):
        symbol_of("btc", SYMBOLS[:1])


# Conditions of the detector


def conditional(**params) -> Any:
    return small_detector("conditional_autoencoder", state_window=5, **params)


def test_the_usual_condition_is_the_state_of_the_market(named):
    plain, asked = (conditional(epochs=1, **params).fit(train_rows(named)) for params in ({}, {"condition": ("market",)}))
    np.testing.assert_array_equal(plain.score(named).values, asked.score(named).values)
    z = plain.scaler.transform(named)
    np.testing.assert_array_equal(plain._windows(named).context, plain._context(z, named.start_row))


def test_each_name_says_what_was_known_before_the_row(named):
    names = ("btc", "market:CCC/USDT", "hour", "regime", "range")
    detector = conditional(condition=names).fit(train_rows(named))
    z, context = detector.scaler.transform(named), detector._windows(named).context
    kinds = ("log_return", "return", "volatility", "parkinson", "garman_klass")
    moves = [k for k, name in enumerate(named.names) if name.startswith(kinds)]
    n, row = len(moves), 1_000
    assert context.shape == (named.n_rows, 2 * n + 4 + 4 + 1)
    for part, col in ((context[row, :n], 1), (context[row, n : 2 * n], 2)):
        np.testing.assert_allclose(part, z[row - 5 : row, col][:, moves].mean(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(context[:, 2 * n : 2 * n + 4], clock(named.time))
    regime = context[row, 2 * n + 4 : 2 * n + 8]
    assert sorted(regime.tolist()) == [0, 0, 0, 1]
    place = named.names.index("range")
    np.testing.assert_allclose(context[row, -1], np.median(z[row - 5 : row, :, place], axis=1).mean(), rtol=1e-9)
    values = named.values.copy()
    values[row:] *= 3.0
    np.testing.assert_array_equal(detector._windows(with_values(named, values)).context[: row + 1], context[: row + 1])


def test_scores_with_every_condition_use_no_later_row_and_are_kept_in_a_file(named, tmp_path):
    detector = conditional(condition=("market", "btc", "hour", "regime"), epochs=2).fit(train_rows(named))
    scores = detector.score(named).values
    np.testing.assert_allclose(detector.score(named.rows(slice(0, 950))).values, scores[:950], rtol=1e-9)
    lead = detector.lookback
    np.testing.assert_allclose(detector.score(named.rows(slice(950 - lead, 1_000))).values[lead:], scores[950:1_000], rtol=1e-9)
    detector.save(tmp_path / "c")
    np.testing.assert_array_equal(load_detector(tmp_path / "c").score(named).values, scores)
    before = detector.regimes_
    again = detector.fit(named.rows(slice(200, 1_000)))
    assert again.regimes_ is not before
    assert not np.array_equal(again.score(named).values, scores, equal_nan=True)
    # In another market the regimes are those that were learned, in its units.
    other = again.rescaled(replace(named, values=named.values * 7.0, symbols=SYMBOLS))
    assert other.regimes_ is again.regimes_


def test_what_a_regime_follows_moves_its_condition(named):
    """Rows of the second half are five times as volatile: their regime is another one than that of the first."""
    values = named.values.copy()
    wild = np.arange(named.n_rows) % 400 >= 200
    values[wild] *= 5.0
    detector = conditional(condition=("regime",), epochs=1).fit(train_rows(with_values(named, values)))
    which = detector._windows(with_values(named, values)).context.argmax(axis=1)
    calm_ones, wild_ones = (np.bincount(which[rows], minlength=4) for rows in (~wild, wild))
    assert calm_ones.argmax() != wild_ones.argmax()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (("moon",), "condition must be market, btc, market:SYMBOL, hour, regime or a feature, got 'moon'; features are log_"),
        (("market:DDD",), "'market:DDD' names a symbol that is not there, got AAA/USDT, BTC/USDT, CCC/USDT"),
        ((), "condition must name at least one thing"),
        ("hour", "condition of conditional_autoencoder must be"),
    ],
)
def test_a_condition_that_there_is_not_is_refused(condition, message, named):
    with pytest.raises(ConfigError, match=message):
        conditional(condition=condition).fit(train_rows(named))


def test_a_named_symbol_must_be_there_when_rows_are_scored(named):
    detector = conditional(condition=("btc",), epochs=1).fit(train_rows(named))
    alone = Features(named.time, SYMBOLS[:1], named.names, named.values[:, :1], named.interval)
    with pytest.raises(ConfigError, match="'btc' names a symbol that is not there, got AAA/USDT"):
        detector.score(alone)
