"""Study files: what they mean, and the one sentence about what is wrong with them."""

import re
from pathlib import Path

import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError
from foreshock.study.config import DetectorConfig, StudyConfig, load_study, parse_study
from foreshock.study.study import Study
from tests.market import make_bars
from tests.paths import ROOT
from tests.sentences import refused

LEAST = 'detectors = ["zscore"]\n'


def file_refused(toml: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(toml.encode() if isinstance(toml, str) else toml)
    with refused(ConfigError, message) as caught:
        load_study(path)
    assert str(caught.value).startswith(str(path))


def load(toml: str, tmp_path: Path) -> StudyConfig:
    path = tmp_path / "study.toml"
    path.write_text(toml, encoding="utf-8")
    return load_study(path)


def test_the_defaults_are_those_of_study(tmp_path):
    bars = make_bars(50, 1)
    from_file = Study.from_config(load(LEAST, tmp_path), bars).config()
    assert from_file == Study(bars, ["zscore"]).config()
    assert from_file["splits"]["embargo"] == "2D"


def test_every_key_reaches_the_study(tmp_path):
    toml = """
        title = "T"
        features = ["log_return", "volume_zscore_24"]
        detectors = ["pca", { name = "zscore", window = 24, columns = ["log_return"], label = "fast" }, { name = "zscore" }]
        horizons = ["2h"]
        delay = 2
        cooldown = "3h"
        n_bootstrap = 100
        seed = 5
        [splits]
        train = "10D"
        test = "5D"
        embargo = "1D"
        mode = "expanding"
        [threshold]
        kind = "train_quantile"
        q = 0.9
        [costs]
        taker = 0
        slippage = 1e-3
        maker = 1e-4
        maker_share = 0.5
        impact = 1.0
        impact_window = "4h"
        funding = true
        borrow = 0.1
        [avoidance]
        hold = "4h"
        exposure = 0.5
        rebalance = "2d"
        random_draws = 3
        [surrogates]
        n = 19
        family = "har"
    """
    study = Study.from_config(load(toml, tmp_path), make_bars(50, 1))
    config = study.config()
    assert list(config["detectors"])[:3] == ["pca", "fast", "zscore"]
    assert config["detectors"]["fast"] == {"name": "zscore", "window": 24, "columns": ["log_return"]}
    expected = {
        "title": "T",
        "features": ["log_return", "volume_zscore_24"],
        "horizons": ["2h"],
        "delay": 2,
        "cooldown": "3h",
        "n_bootstrap": 100,
        "seed": 5,
        "costs": {
            "taker": 0.0,
            "slippage": 1e-3,
            "maker": 1e-4,
            "maker_share": 0.5,
            "impact": 1.0,
            "impact_window": "4h",
            "funding": True,
            "borrow": 0.1,
        },
        "splits": {"train": "10D", "test": "5D", "embargo": "1D", "mode": "expanding"},
        "avoidance": {"hold": "4h", "exposure": 0.5, "rebalance": "2d", "random_draws": 3},
        "surrogates": {"n": 19, "family": "har"},
    }
    assert {key: config[key] for key in expected} == expected
    assert config["threshold"] == {"kind": "TrainQuantile", "q": 0.9}


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_every_example_is_a_study(path):
    assert Study.from_config(load_study(path), make_bars(50, 1)).labelled_detectors()


def test_dates_may_be_written_as_text_or_as_dates_of_toml(tmp_path):
    for start, end in (("2024-01-01", "2024-02-01T00:00:00+00:00"), ('"2024-01-01"', '"2024-02-01T00:00:00+00:00"')):
        data = load(f"{LEAST}[data]\nstart = {start}\nend = {end}\n", tmp_path).data
        assert (data.start, data.end) == ("2024-01-01", "2024-02-01T00:00:00+00:00")


def test_a_byte_order_mark_is_no_fault(tmp_path):
    assert load("\ufeff" + LEAST, tmp_path).detectors == ["zscore"]


def test_a_whole_number_is_good_for_a_fraction_and_a_detector_keeps_its_parameters(tmp_path):
    config = load('detectors = [{ name = "zscore", window = 24 }]\n[costs]\ntaker = 0\n', tmp_path)
    assert config.costs.taker == 0
    assert isinstance(config.detectors[0], DetectorConfig)
    assert config.detectors[0].model_extra == {"window": 24}


# What is refused


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("detecters = []", "unknown key 'detecters'; expected one of title, data, source, features, detectors, "),
        ("detecters = []", "; did you mean 'detectors'?"),
        (LEAST + "quux = 1", "; remove it"),
        (LEAST + "[costs]\ntakr = 1", "unknown key 'costs.takr'; expected one of taker, slippage, maker, "),
        (LEAST + "[splits.deep]\nx = 1", "unknown key 'splits.deep'; expected one of train, test, embargo, mode; remove it"),
        ("", "key 'detectors' is missing; add it"),
        ("detectors = [{ nam = 'zscore' }]", "key 'detectors.0.name' is missing; add it"),
        ("detectors = []", "key 'detectors': list should have at least 1 item, not 0, got []"),
        ("detectors = 'zscore'", "key 'detectors': must be a list, got 'zscore'"),
        ("detectors = ['zscore', 5]", "key 'detectors.1': must be a text, got 5"),
        ("detectors = [{ name = 5 }]", "key 'detectors.0.name': must be a text, got 5"),
        (LEAST + "horizons = '1h'", "key 'horizons': must be a list, got '1h'"),
        (LEAST + "horizons = []", "key 'horizons': list should have at least 1 item, not 0, got []"),
        (LEAST + "horizons = [24]", "key 'horizons.0': must be a text, got 24"),
        (LEAST + "horizons = ['1h', '1x']", "key 'horizons.1': it must be a number and one of the units s, m, h, d, w, such as"),
        (LEAST + "horizons = ['1h', '6h', '60m']", "key 'horizons': horizons must differ and be at least one, got 1h, 6h,"),
        (LEAST + "seed = 4294967296", "key 'seed': input should be less than or equal to 4294967295"),
        (LEAST + "[threshold]\nhalflife = '3D'", "halflife does nothing without volatility_scaled"),
        (LEAST + "cooldown = ''", "key 'cooldown': it must be a number and one of the units"),
        (LEAST + "delay = 0", "key 'delay': input should be greater than or equal to 1, got 0"),
        (LEAST + "delay = 1.0", "key 'delay': input should be a valid integer, got 1.0"),
        (LEAST + "seed = true", "key 'seed': input should be a valid integer, got True"),
        (LEAST + "seed = '1'", "key 'seed': input should be a valid integer, got '1'"),
        (LEAST + "n_bootstrap = 10", "key 'n_bootstrap': input should be greater than or equal to 99, got 10"),
        (LEAST + "features = []", "key 'features': list should have at least 1 item, not 0, got []"),
        (LEAST + "data = 5", "key 'data': must be a table, got 5"),
        (LEAST + "[data]\npath = 5", "key 'data.path': must be a text, got 5"),
        (LEAST + "[data]\nsymbols = 'BTC'", "key 'data.symbols': must be a list, got 'BTC'"),
        (LEAST + "[data]\nsymbols = []", "key 'data.symbols': list should have at least 1 item, not 0, got []"),
        (LEAST + "[data]\nstart = '2024-13-01'", "key 'data.start': it must be an ISO date or time, such as '2024-01-31' or "),
        (LEAST + "[data]\nend = 'now'", "key 'data.end': it must be an ISO date or time, such as "),
        (LEAST + "[data]\nstart = 2024", "key 'data.start': must be a text, got 2024"),
        (LEAST + "[data]\nstart = 07:30:00", "key 'data.start': must be a text, got datetime.time(7, 30)"),
        (LEAST + "[data]\ninterval = '1M'", "key 'data.interval': it must be a number and one of the units s, m, h, d, w"),
        (LEAST + "[splits]\ntrain = 365", "key 'splits.train': must be a text, got 365"),
        (LEAST + "[splits]\ntrain = '1 year'", "key 'splits.train': it must be a number and one of the units"),
        (LEAST + "[splits]\nmode = 'sliding'", "key 'splits.mode': input should be 'rolling' or 'expanding', got 'sliding'"),
        (LEAST + "[threshold]\nkind = 'fxied'", "key 'threshold': unknown threshold 'fxied'; expected one of rolling_quantile, "),
        (LEAST + "[threshold]\nkind = 'fxied'", "; did you mean 'fixed'?"),
        (LEAST + "[threshold]\nkind = 5", "key 'threshold.kind': must be a text, got 5"),
        (LEAST + "threshold = 5", "key 'threshold': must be a table, got 5"),
        (LEAST + "[threshold]\nkind = 'fixed'", "key 'threshold.value' is missing; add it"),
        (LEAST + "[threshold]\nq = '0.99'", "key 'threshold.q': input should be a valid number, got '0.99'"),
        (LEAST + "[threshold]\nq = 1", "key 'threshold.q': input should be less than 1, got 1"),
        (LEAST + "[threshold]\nq = nan", "key 'threshold.q': input should be a finite number, got nan"),
        (LEAST + "[threshold]\nkind = 'fixed'\nvalue = -inf", "key 'threshold.value': input should be a finite number, got -inf"),
        (LEAST + "[avoidance]\nexposure = 2", "key 'avoidance.exposure': input should be less than or equal to 1, got 2"),
        (LEAST + "[avoidance]\nhold = '0h'", "key 'avoidance.hold': it must be positive, got '0h'"),
        (LEAST + f"title = ['{'x' * 500}']", f"key 'title': must be a text, got ['{'x' * 78}…; put it in quotes"),
        ("detectors = [", "is not valid TOML: "),
        (LEAST + "title = no quotes", "is not valid TOML: Invalid value (at line 2, column 9); fix the line"),
        (LEAST + LEAST, "is not valid TOML: Cannot overwrite a value (at line 2,"),
        (LEAST.encode() + b"title = '\xff'", "is not UTF-8 text; pass a TOML file, see examples/study.toml"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(toml, message, tmp_path):
    file_refused(toml, message, tmp_path)


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("name = 'zscore', window = '24'", "key 'detectors.0': window of zscore must be a whole number, such as 168, got '24'"),
        ("name = 'zscore', window = 24.0", "key 'detectors.0': window of zscore must be a whole number, such as 168, got 24.0"),
        ("name = 'zscore', window = true", "key 'detectors.0': window of zscore must be a whole number, such as 168, got True"),
        (
            "name = 'zscore', columns = 'log_return'",
            "key 'detectors.0': columns of zscore must be a list of texts, such as ['log_return', ",
        ),
        ("name = 'zscore', columns = [1]", "key 'detectors.0': columns of zscore must be a list of texts, such as ['log_return', "),
        (
            "name = 'pca', n_components = 'mle'",
            "key 'detectors.0': n_components of pca must be a whole number, such as 4, got 'mle'",
        ),
    ],
)
def test_a_parameter_of_another_type_than_its_default_is_refused(detector, message, tmp_path):
    file_refused(f"detectors = [{{ {detector} }}]", message, tmp_path)


def test_an_unknown_detector_parameter_or_repeated_label_is_refused():
    bars = make_bars(50, 1)
    for detectors, message in (
        (["zscor"], "^study: key 'detectors.0': unknown detector 'zscor'; expected one of zscore, .*; did you mean 'zscore'[?]$"),
        ([{"name": "zscor", "window": 24}], "^study: key 'detectors.0': unknown detector 'zscor'; expected one of zscore, "),
        (
            [{"name": "zscore", "windw": 24}],
            "^study: key 'detectors.0': unknown parameter of zscore: windw; .*; did you mean 'window'[?]$",
        ),
        (["pca", {"name": "zscore", "label": "pca"}], "^key 'detectors': 'pca' stands there twice; set a label for one of them$"),
    ):
        with pytest.raises(ConfigError, match=message):
            Study.from_config(parse_study({"detectors": detectors}), bars)


KEYS = {
    "rolling_quantile": ("q", "window"),
    "train_quantile": ("q",),
    "adaptive_conformal": ("gamma", "q", "window"),
    "peaks_over_threshold": ("init", "q", "refit", "window"),
    "fixed": ("value",),
}
VALUES = {"q": 0.99, "window": "'60D'", "gamma": 0.005, "init": 0.95, "refit": "'1D'", "value": 1.0}


@pytest.mark.parametrize("kind", KEYS)
def test_each_kind_of_threshold_takes_its_own_keys_and_refuses_those_of_others(kind, tmp_path):
    assert list(KEYS) == fs.threshold_kinds()
    section = LEAST + f"[threshold]\nvolatility_scaled = true\nhalflife = '3D'\nkind = '{kind}'\n"
    section += "".join(f"{key} = {VALUES[key]}\n" for key in KEYS[kind])
    rule = Study.from_config(load(section, tmp_path), make_bars(50, 1)).threshold
    plain = {key: value.strip("'") if isinstance(value, str) else value for key, value in VALUES.items() if key in KEYS[kind]}
    assert rule == fs.make_threshold(kind, volatility_scaled=True, halflife="3D", **plain)
    has = ", ".join(sorted((*KEYS[kind], "kind", "volatility_scaled", "halflife")))
    for key in VALUES.keys() - set(KEYS[kind]):
        refused(section + f"{key} = {VALUES[key]}\n", f"unknown key 'threshold.{key}'; a {kind} has {has}", tmp_path)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path):
    expected = f"^no such study file: {re.escape(str(tmp_path / 'none.toml'))}; pass a TOML file, see examples/study.toml$"
    with pytest.raises(ConfigError, match=expected):
        load_study(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path))} is a folder; pass a TOML file, see examples/study.toml$"):
        load_study(tmp_path)


def test_a_study_file_can_say_that_there_is_no_embargo():
    none = parse_study({"detectors": ["zscore"], "splits": {"embargo": "none"}}).splits.embargo
    usual = parse_study({"detectors": ["zscore"]}).splits.embargo
    assert (none, usual) == (None, "2D")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 5_000 + "]" * 5_000, "it is nested too deeply"),
        ("a = " + "{a = " * 5_000 + "1" + "}" * 5_000, "it is nested too deeply"),
        ("seed = " + "9" * 5_000, "4300"),
    ],
    ids=["lists", "tables", "digits"],
)
def test_a_study_file_that_no_parser_likes_is_refused_in_a_sentence(text, said, tmp_path):
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(ConfigError, match=f"is not valid TOML: .*{said}.*; fix the line"):
        load_study(tmp_path / "study.toml")
