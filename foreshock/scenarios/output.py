"""Output of ``foreshock scenarios``: tables on the terminal, and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.interval import format_duration
from foreshock.data.system.disk import written_together
from foreshock.engine.realism import RealismCard
from foreshock.engine.realism.measures import EMBEDDING
from foreshock.plain import bars_section, plain, versions
from foreshock.scenarios.pictures import clustering, fan, losses
from foreshock.scenarios.scenarios import ScenarioStudy
from foreshock.terminal import print_table

VERSION = 1


def scenario_table(study: ScenarioStudy) -> pd.DataFrame:
    """The stressed paths in long form: ``path step symbol log_return``."""
    paths = study.scenarios.paths
    n, n_steps, n_assets = paths.shape
    return pd.DataFrame(
        {
            "path": np.repeat(np.arange(n, dtype=np.int32), n_steps * n_assets),
            "step": np.tile(np.repeat(np.arange(n_steps, dtype=np.int16), n_assets), n),
            "symbol": np.tile(np.asarray(study.scenarios.symbols, dtype=object), n * n_steps),
            "log_return": paths.ravel(),
        }
    )


def scenario_results(study: ScenarioStudy, bars: Bars, config: Mapping[str, Any]) -> dict[str, Any]:
    """The content of scenarios.json, in JSON types: fractions, losses positive, no NaN."""
    drawn = study.scenarios
    # Name of the stressed returns in the risk table.
    stressed = list(study.returns)[-1]
    fans = {name: study.paths[name] for name in ("historical", "generated")} | {stressed: drawn.paths}
    content = {
        "version": VERSION,
        "config": config,
        "data": {**bars_section(bars), "n_held_out_paths": study.n_held_out},
        "model": {"name": study.model.name, "params": study.model.get_params(), **getattr(study.model, "trained_", {})},
        "scenarios": {
            "n": len(drawn.paths),
            "stress": drawn.stress,
            "tilt": drawn.tilt,
            "scale": drawn.scale,
            "n_steps": drawn.paths.shape[1],
            "horizon": format_duration(drawn.paths.shape[1] * drawn.interval),
        },
        "embedding": list(EMBEDDING),
        "realism": {name: _card(card) for name, card in study.cards.items()},
        "realism_later": {name: _card(card) for name, card in study.later.items()},
        "weights": study.weights,
        "risk": study.risk.to_dict("records"),
        "fan": fan(fans, np.array(list(study.weights.values()))),
        "losses": losses(study.returns),
        "clustering": clustering({name: study.paths[name] for name in ("held out", "generated", "history", "gaussian")}),
        "seeds": {"study": study.seed},
        "versions": versions(),
    }
    return plain(content)


def save_scenarios(
    study: ScenarioStudy,
    bars: Bars,
    config: Mapping[str, Any],
    folder: Path,
    command: str = "foreshock scenarios STUDY.toml",
) -> Path:
    """Write report.html, scenarios.json, scenarios.parquet and the model; earlier files stay until the new ones are complete."""
    from foreshock.reports.scenarios.page import ScenarioReport

    with written_together(folder, ("report.html", "scenarios.parquet", "scenarios.json", "model.safetensors")) as parts:
        study.model.save(parts["model.safetensors"])
        scenario_table(study).to_parquet(parts["scenarios.parquet"], index=False, compression="zstd")
        content = scenario_results(study, bars, config)
        parts["scenarios.json"].write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
        parts["report.html"].write_bytes(ScenarioReport(content, command).to_html().encode())
    return folder


def print_scenarios(study: ScenarioStudy) -> None:
    """Print the realism card of the model, the cards of all sources, and the risk."""
    name, drawn = study.model.name, study.scenarios
    _print_card(f"Realism of {name} against {study.n_held_out} held-out paths", study.cards[name])
    _print_cards("Measures failed, against held-out blocks", study.cards)
    if study.later:
        _print_cards("Measures failed, learned on the first 70 %, against the last 30 %", study.later)
    _print_risk(study)
    print(  # noqa: T201
        f"stress {drawn.stress:g}: paths weighted by volatility ** {drawn.tilt:.2f}, then all returns times {drawn.scale:.2f}; "
        "intervals are of sampling alone"
    )


def _card(card: RealismCard) -> dict[str, Any]:
    figures = {str(measure): row for measure, row in card.table.to_dict("index").items()}
    head = {
        "n_real": card.n_real,
        "n_generated": card.n_generated,
        "n_splits": card.n_splits,
        "level": card.level,
        "seed": card.seed,
    }
    return {**head, "mmd_p": card.mmd_p, "n_passed": card.n_passed, "failed": list(card.failed), "measures": figures}


def _print_card(title: str, card: RealismCard) -> None:
    figures = ("real", "generated", "distance", "floor", "limit")
    rows = [
        (str(measure), *(f"{row[key]:.3f}".replace("nan", "–") for key in figures), "yes" if row["passed"] else "no")
        for measure, row in card.table.iterrows()
    ]
    print_table(title, ("measure", "real", "generated", "distance", "real halves", "limit", "passed"), rows)


def _print_cards(title: str, cards: Mapping[str, RealismCard]) -> None:
    rows = [
        (name, ", ".join(card.failed) or "none", f"{card.n_passed} of {len(card.table)}", f"{card.mmd_p:.3f}")
        for name, card in cards.items()
    ]
    print_table(title, ("paths", "which", "passed", "MMD p"), rows, n_left=2)


def _print_risk(study: ScenarioStudy) -> None:
    steps, interval = study.scenarios.paths.shape[1], study.scenarios.interval
    rows = []
    for row in study.risk.to_dict("records"):
        cells = [f"{row[key]:.1%} [{row[f'{key}_low']:.1%}, {row[f'{key}_high']:.1%}]" for key in ("var", "cvar")]
        rows.append((row["source"], f"{row['level']:.0%}", str(row["n"]), *cells))
    print_table(f"Loss of the portfolio over {format_duration(steps * interval)}", ("source", "level", "n", "VaR", "CVaR"), rows)
