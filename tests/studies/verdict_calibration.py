"""Size and power of the surrogate test: ``python -m tests.studies.verdict_calibration``.

Size: histories in which the alerts of a z-score, of returns or of volume, tell nothing beyond volatility. Power: returns after an
alert are larger by the planted factor. Horizon and cool-down are 24 hours; nothing is tuned to these histories.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from foreshock.engine.validation.surrogates.calibration import TABLE, Measured, Planted, calibrate

SETTINGS = (
    *(Planted(2_500, null) for null in ("garch", "gjr", "sv")),
    *(Planted(2_500, null, watches="volume") for null in ("gjr", "sv")),
    *(Planted(2_500, "gjr", effect) for effect in (1.25, 1.5)),
    *(Planted(20_000, "gjr", effect) for effect in (1.0, 1.25)),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--surrogates", type=int, default=99)
    parser.add_argument("--family", default="best")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--write", action="store_true", help="make it the calibration of the package")
    options = parser.parse_args(arguments)
    print("null   watches  effect  bars    events  found at 5 % [95 %]      naive")
    rows = []
    for planted in SETTINGS:
        # Long histories take their time, and vary less.
        histories = options.histories if planted.n_bars < 10_000 else max(options.histories // 4, 1)
        found = calibrate(planted, histories, options.surrogates, options.family, n_jobs=options.jobs)
        low, high = found.interval
        print(
            f"{planted.null:<6} {planted.watches:<8} {planted.effect:<7} {planted.n_bars:<7} {found.n_events:<7.1f} "
            f"{found.found:.3f} [{low:.3f}, {high:.3f}]     {found.found_naive:.3f}",
            flush=True,
        )
        rows.append(asdict(Measured.of(found)))
    if options.write:
        TABLE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
