"""Studies that are stopped and resumed."""

from pathlib import Path

from tests.studies.parts.resumable import Row, resume


def test_what_a_file_has_is_not_done_again(tmp_path: Path):
    done = []

    def work(name: str, share: float, seed: int) -> list[Row]:
        done.append((name, share, seed))
        return [{"name": name, "share": share, "seed": seed, "value": seed**2 + k} for k in range(2)]

    keys, fields = ("name", "share", "seed"), ("name", "share", "seed", "value")
    for n in (2, 4):
        wanted = ((name, 1 / 1.25, seed) for seed in range(n) for name in ("one", "another"))
        rows = resume(tmp_path / "study.csv", keys, fields, wanted, work, jobs=1)
        assert len(rows) == 4 * n
    assert sorted(done) == sorted({(name, 0.8, seed) for seed in range(4) for name in ("one", "another")})
    assert set(rows.query("seed == 3")["value"]) == {9, 10}
