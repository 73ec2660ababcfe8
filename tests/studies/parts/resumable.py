"""A study of many histories that is kept in a CSV file as it goes, so that it can be stopped and resumed."""

import argparse
import csv
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

Row = dict[str, Any]


def parser_of(about: str | None, histories: int) -> argparse.ArgumentParser:
    """Arguments that every such study has: the file, the number of histories and of processes."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--histories", type=int, default=histories)
    parser.add_argument("--jobs", type=int, default=-1)
    return parser


def resume(
    out: Path,
    keys: Sequence[str],
    fields: Sequence[str],
    wanted: Iterable[tuple[Hashable, ...]],
    work: Callable[..., list[Row]],
    jobs: int,
) -> pd.DataFrame:
    """Do what of the work ``wanted`` the file does not have, add its rows to it, and return all of them.

    Parameters
    ----------
    out : Path
        CSV file; made if it is not there.
    keys, fields : sequence of str
        Columns that tell one piece of work from another, and all columns.
    wanted : iterable of tuple
        The keys of each piece of work, which are also the arguments of ``work``.
    work : callable
        Returns the rows of one piece, each with all fields.
    jobs : int
        Processes.
    """
    fresh = not out.exists()
    known = pd.read_csv(out, usecols=list(keys))[list(keys)].drop_duplicates() if not fresh else pd.DataFrame()
    done = set(known.itertuples(index=False, name=None))
    left = [piece for piece in wanted if piece not in done]
    began = time.monotonic()
    results: Any = Parallel(jobs, return_as="generator_unordered")(delayed(work)(*piece) for piece in left)
    with out.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields)
        if fresh:
            writer.writeheader()
        for rows in results:
            writer.writerows(rows)
            file.flush()
    print(f"{len(left)} histories in {time.monotonic() - began:.0f} s")
    return pd.read_csv(out)
