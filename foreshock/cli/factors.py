"""``foreshock factors``: latent factors of the cross-section of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreshock.data.errors import ConfigError
from foreshock.terminal import check_out, print_table, printable

MOST_FACTORS = 3


def factors(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Study file; see examples/factors.toml.")],
    data: Annotated[Path | None, typer.Option("--data", help="Data to use instead of the path in the study.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for factors.html and factors.json.")] = Path("foreshock-out/factors"),
    model: Annotated[
        str,
        typer.Option(
            help="Model beside PCA: autoencoder, sparse_autoencoder, denoising_autoencoder, vae, beta_vae or "
            "conditional_autoencoder; pca, the default, stands alone."
        ),
    ] = "pca",
    n: Annotated[
        int | None, typer.Option("--n", help="Number of factors; by default 3, or one less than the symbols.", min=1)
    ] = None,
    hidden: Annotated[
        str | None, typer.Option("--hidden", help="Sizes of the network's hidden layers, such as 64,32; by default 32.")
    ] = None,
) -> None:
    """Find the latent factors of a study's market: what they explain out of sample, what they are, and whether they stay."""
    check_out(out)
    from foreshock.cli.study import _bars, _loaded
    from foreshock.engine.out_of_sample.splits import WalkForward
    from foreshock.engine.trials.hold_out import n_held
    from foreshock.progress import progress_bar
    from foreshock.reports.factors.page import headline
    from foreshock.study.factors.factors import factor_content
    from foreshock.study.factors.output import save_factors

    config = _loaded(study)
    bars = _bars(config, study, data)
    # What a study keeps sealed is not looked at.
    bars = bars.head(bars.n_bars - n_held(bars, config.sealed))
    if bars.n_symbols < 2:
        raise ConfigError(
            f"latent factors need a study of at least 2 symbols, {study} has {bars.n_symbols}; add symbols to its data"
        )
    wanted = min(MOST_FACTORS, bars.n_symbols - 1) if n is None else n
    if wanted >= bars.n_symbols:
        most = bars.n_symbols - 1
        raise ConfigError(f"--n must lie between 1 and {most} for {bars.n_symbols} symbols, got {n}; pass fewer, or add symbols")
    layers = _sizes(hidden, model)
    splits = WalkForward(**config.splits.model_dump())
    models = ["pca"] if model == "pca" else ["pca", model]
    asked = {"n": wanted, "models": models, "splits": config.splits.model_dump(), "seed": config.seed}
    asked |= {} if layers is None else {"hidden": layers}
    n_folds = len(splits.folds(bars.n_bars, bars.interval, origin=bars.start_row))
    with progress_bar(len(models) * n_folds, True) as step:
        content = factor_content(bars, splits, models, wanted, config.seed, asked, step, layers)
    command = f"foreshock factors {study.name} --model {model} --n {wanted}" + (f" --hidden {hidden}" if hidden else "")
    command += f" --data {data.name}" if data else ""
    save_factors(content, out, command)
    rows = [
        (name, *(f"{found['fit'][key]:.2%}" for key in ("total_r2", "left_out_r2", "predictive_r2")), f"{found['market_gap']:.2f}")
        for name, found in content["models"].items()
    ]
    columns = ("model", "explained", "left-out symbol", "forecast", "market gap")
    print_table(f"{wanted} latent factors of {bars.n_symbols} symbols, out of sample", columns, rows)
    for sentence in headline(content):
        typer.echo(printable(sentence))
    typer.echo(printable(f"factors: {out / 'factors.json'}"))
    typer.echo(printable(f"report: {out / 'factors.html'}"))


def _sizes(hidden: str | None, model: str) -> list[int] | None:
    """Sizes of layers from a text such as ``64,32``."""
    if hidden is None:
        return None
    if model == "pca":
        raise ConfigError(f"pca has no hidden layers, got --hidden {hidden[:40]!r}; name a network by --model, or leave it out")
    try:
        return [int(size) for size in hidden.split(",")]
    except ValueError as error:
        raise ConfigError(f"--hidden must be sizes of layers with commas, got {hidden[:40]!r}; such as 64,32") from error
