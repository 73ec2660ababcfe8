"""The trial ledger: it only grows, shows every change, survives kills and company, and counts what was tried."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.trials.chain import GENESIS, canonical, digest
from foreshock.engine.trials.ledger import REPAIR, Ledger, default_path
from tests.paths import ROOT


def clock():
    return datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.jsonl", clock)


@pytest.fixture
def six(ledger):
    for i in range(6):
        ledger.append({"window": i}, "data", {"sharpe": i / 10})
    return ledger


def lines(ledger: Ledger) -> list[bytes]:
    return ledger.path.read_bytes().splitlines(keepends=True)


def rewrite(ledger: Ledger, content: list[bytes]) -> None:
    ledger.path.write_bytes(b"".join(content))


def test_an_entry_is_a_line_that_anyone_can_check_by_hand(ledger):
    first = ledger.append({"b": 1, "a": [1.5, None, "é"]}, "abc", {"sharpe": 0.25})
    second = ledger.append({}, "abc", {})
    written = [json.loads(line) for line in lines(ledger)]
    assert list(written[0]) == sorted(written[0])
    assert written[0]["time"] == "2024-01-02T03:04:05.000000+00:00"
    assert [entry["previous"] for entry in written] == [GENESIS, first.sha256]
    assert [entry["sequence"] for entry in written] == [0, 1]
    sealed = written[0].pop("sha256")
    text = json.dumps(written[0], sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == sealed == first.sha256
    assert ledger.entries() == (first, second)
    assert ledger.verify().head == second.sha256


def test_a_time_of_another_zone_is_written_in_utc_and_one_without_a_zone_refused(tmp_path):
    east = Ledger(tmp_path / "a", lambda: datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert east.append({}, "", {}).time == "2024-01-01T00:00:00.000000+00:00"
    with pytest.raises(ConfigError, match="times with a zone"):
        Ledger(tmp_path / "b", lambda: datetime(2024, 1, 1)).append({}, "", {})


def test_a_ledger_that_does_not_exist_is_empty_and_whole(ledger):
    assert ledger.entries() == ()
    assert ledger.count() == 0
    assert ledger.verify().whole
    assert not ledger.path.exists()


def swap(content, i, j):
    content[i], content[j] = content[j], content[i]
    return content


@pytest.mark.parametrize(
    ("touch", "expected"),
    [
        (lambda c: [*c[:2], c[2].replace(b'"window":2', b'"window":9'), *c[3:]], ["line 3 was changed or cut"]),
        (lambda c: [*c[:2], c[2].replace(b'"window":2', b'"window": 2'), *c[3:]], ["line 3 was changed or cut"]),
        (lambda c: [*c[:2], c[2][:40] + b"\n", *c[3:]], ["line 3 was changed or cut"]),
        (lambda c: [*c[:2], b"\n", *c[3:]], ["line 3 was changed or cut"]),
        (lambda c: [*c[:2], b"[" * 100_000 + b"\n", *c[3:]], ["line 3 was changed or cut"]),
        (lambda c: [*c[:2], c[2][:-1] + c[3], *c[4:]], ["line 3 was changed or cut", "line 4: entry 3 was removed"]),
        (lambda c: c[1:], ["line 1: entry 0 was removed"]),
        (lambda c: [*c[:2], *c[3:]], ["line 3: entry 2 was removed"]),
        (lambda c: [*c[:2], *c[4:]], ["line 3: entries 2 to 3 were removed"]),
        (lambda c: swap(c, 2, 3), ["line 3 holds entry 3 where entry 2", "line 4 holds entry 2 where entry 3"]),
        (lambda c: [*c[:3], c[2], *c[3:]], ["line 4 repeats entry 2"]),
        (lambda c: c[:-1], ["line 6: entry 5 is missing at the end"]),
        (lambda c: c[:-3], ["line 4: entries 3 to 5 are missing at the end"]),
        (lambda c: [*c[:-1], c[-1][:50]], ["line 6: entry 5 is missing at the end"]),
        (lambda c: [], ["line 1: entries 0 to 5 are missing at the end"]),
    ],
    ids="value space cut blank deep joined first one two swapped twice last tail torn all".split(),  # noqa: SIM905
)
def test_every_touched_line_is_named_and_stops_counting_and_writing(six, touch, expected):
    assert six.verify().whole
    rewrite(six, touch(lines(six)))
    before = six.path.read_bytes()
    found = six.verify()
    assert not found.whole
    assert not found.torn
    assert len(found.problems) == len(expected)
    for problem, start in zip(found.problems, expected, strict=True):
        assert problem.startswith(start)
    with pytest.raises(DataError, match="was changed after it was written: line"):
        six.count()
    with pytest.raises(DataError, match="was changed after it was written: line"):
        six.append({}, "", {})
    assert six.path.read_bytes() == before


def test_a_line_replaced_by_one_with_a_good_hash_of_its_own_breaks_the_chain(six):
    content = lines(six)
    forged = json.loads(content[2])
    forged["result"] = {"sharpe": 9.0}
    del forged["sha256"]
    forged["sha256"] = digest(forged)
    content[2] = canonical(forged).encode() + b"\n"
    rewrite(six, content)
    assert six.verify().problems == ("line 4: entry 3 does not follow the previous one; one of them was rewritten",)


def test_a_file_written_anew_from_a_line_on_is_another_one_than_its_head_remembers(six, tmp_path):
    other = Ledger(tmp_path / "other.jsonl", clock)
    for i in range(6):
        other.append({"window": i}, "data", {"sharpe": 1.0})
    six.path.write_bytes(other.path.read_bytes())
    assert six.verify().problems == ("line 6: entry 5 differs from the one that was written; the file was rewritten",)


def test_a_ledger_that_was_deleted_is_missed(six):
    six.path.unlink()
    assert "the ledger is gone" in six.verify().problems[0]
    with pytest.raises(DataError, match="entries 0 to 5 are missing"):
        six.append({}, "", {})


def test_a_head_that_makes_no_sense_is_a_problem(six):
    head = six.path.with_name("ledger.jsonl.head")
    assert head.read_text().split() == ["6", six.entries()[-1].sha256]
    head.write_text("what\n")
    assert six.verify().problems == ("ledger.jsonl.head is not a count and a hash; it was changed",)


def test_a_torn_last_line_is_reported_and_dropped_by_the_next_append(six):
    torn = b'{"configuration":{"window":6},"data_h'
    with six.path.open("ab") as file:
        file.write(torn)
    found = six.verify()
    assert (found.torn, found.problems, found.n_entries) == (True, (), 6)
    assert len(six.entries()) == 6
    added = six.append({"window": 7}, "data", {})
    assert six.verify().whole
    repair = six.entries()[6]
    assert (repair.kind, repair.result["dropped_bytes"], added.sequence) == (REPAIR, len(torn), 7)
    assert six.count("data") == 7


def test_an_entry_without_its_newline_or_its_head_is_kept(six):
    content = lines(six)
    six.path.with_name("ledger.jsonl.head").write_text(f"5 {six.entries()[4].sha256}\n")
    rewrite(six, [*content[:-1], content[-1][:-1]])
    assert six.verify().whole
    assert six.append({"window": 6}, "data", {}).sequence == 6
    assert six.verify().whole
    assert six.count() == 7


@pytest.mark.parametrize(
    "content",
    [b'{"my":"only copy"}', b'{"configuration":{},"mine":1}', b"a note", b"a note\n", b'{"my":1}\n{"my":2}', b"\0\xff\n", b"{}\n"],
)
def test_a_file_that_is_someone_elses_is_left_as_it_is(ledger, content):
    ledger.path.write_bytes(content)
    for ask in (ledger.entries, ledger.check, lambda: ledger.append({}, "", {})):
        with pytest.raises(DataError, match=r"ledger.jsonl is not a ledger, or was changed: line 1 was .* left as it is"):
            ask()
    assert (ledger.verify().whole, ledger.verify().torn) == (False, False)
    assert ledger.path.read_bytes() == content
    assert not ledger.head_path.exists()


def test_what_someone_wrote_behind_the_last_entry_is_no_torn_line(six):
    with six.path.open("ab") as file:
        file.write(b"a note")
    before = six.path.read_bytes()
    assert six.verify().problems == ("line 7 was changed or cut: it is not an entry as it was written",)
    with pytest.raises(DataError, match="line 7 was changed"):
        six.append({}, "", {})
    assert six.path.read_bytes() == before


@pytest.mark.parametrize("cut", [0, 1, 10, 18, 40, -2])
def test_the_first_line_of_all_may_be_torn_too(ledger, tmp_path, cut):
    whole = Ledger(tmp_path / "whole.jsonl", clock).append({"window": 1}, "data", {}).line()
    ledger.path.write_bytes(whole[:cut])
    ledger.append({"window": 1}, "data", {})
    assert ledger.verify().whole
    assert ledger.count() == 1


def test_a_folder_a_device_or_a_head_that_is_a_folder_is_refused_at_the_door(ledger, tmp_path, device):
    for path, what in ((tmp_path, "a folder"), (device, "a device or pipe")):
        other = Ledger(path)
        for ask in (other.check, other.entries, other.verify, lambda other=other: other.append({}, "", {})):
            with pytest.raises(ConfigError, match=f"must be a file that can be written, got {path}, which is {what}"):
                ask()
    ledger.head_path.mkdir()
    for _ in range(2):
        for ask in (ledger.check, ledger.entries, lambda: ledger.append({}, "", {})):
            with pytest.raises(DataError, match=r"ledger.jsonl.head is a folder, where a file with a count and a hash belongs"):
                ask()
        ledger.path.write_bytes(b"")


def test_a_folder_in_which_no_head_can_be_made_is_refused_before_hours_of_work(six, monkeypatch):
    before = six.path.read_bytes()

    def refuse(dir):
        raise PermissionError(1, "Operation not permitted", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(ConfigError, match=r"in a folder that can be, got .*ledger.jsonl: Operation not permitted; pass another"):
        six.check()
    assert six.path.read_bytes() == before


WRITER = """
import sys
from foreshock.engine.trials.ledger import Ledger
ledger = Ledger(sys.argv[1])
for i in range(10**6):
    ledger.append({"writer": sys.argv[2], "i": i}, "data", {"padding": "x" * 5000})
"""


def test_kills_at_any_moment_leave_a_ledger_that_goes_on(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl", clock)
    for attempt in range(4):
        command = [sys.executable, "-c", WRITER, str(ledger.path), str(attempt)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            began = time.monotonic()
            before = ledger.path.stat().st_size if ledger.path.exists() else 0
            while (not ledger.path.exists() or ledger.path.stat().st_size < before + 20_000) and time.monotonic() - began < 30:
                time.sleep(0.003)
            process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        assert ledger.verify().problems == ()
        ledger.append({"after": attempt}, "data", {})
        assert ledger.verify().whole
    assert sum("after" in entry.configuration for entry in ledger.entries()) == 4


def _append_many(path: str, name: str, n: int) -> None:
    ledger = Ledger(path)
    for i in range(n):
        ledger.append({"writer": name, "i": i}, "data", {})


def test_processes_and_threads_append_at_once_without_losing_a_line(tmp_path):
    path = str(tmp_path / "ledger.jsonl")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_many, args=(path, f"process {k}", 15)) for k in range(3)]
    workers += [threading.Thread(target=_append_many, args=(path, f"thread {k}", 15)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ledger = Ledger(path)
    assert ledger.verify().whole
    found = {(entry.configuration["writer"], entry.configuration["i"]) for entry in ledger.entries()}
    assert len(found) == ledger.count("data") == len(ledger.entries()) == 90


def test_the_count_is_of_distinct_configurations_on_that_data(ledger):
    ledger.append({"a": 1, "b": 2}, "one", {"sharpe": 1})
    ledger.append({"b": 2, "a": 1}, "one", {"sharpe": 1})
    ledger.append({"a": 2}, "one", {})
    ledger.append({"a": 1, "b": 2}, "two", {})
    ledger.append({"hold-out": True}, "one", {}, kind="seal")
    assert (ledger.count("one"), ledger.count("two"), ledger.count("three"), ledger.count()) == (2, 1, 0, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"bytes"])
def test_values_that_are_no_json_are_refused_before_anything_is_written(ledger, value):
    with pytest.raises(ConfigError, match="JSON types and finite"):
        ledger.append({"value": value}, "data", {})
    assert not ledger.path.exists()


def test_an_entry_that_is_not_allowed_is_not_written(six):
    def never(entries):
        raise DataError(f"no more than {len(entries)}")

    before = six.path.read_bytes()
    with pytest.raises(DataError, match="no more than 6"):
        six.append({}, "", {}, allowed=never)
    assert six.path.read_bytes() == before


def test_the_path_comes_from_the_argument_the_environment_or_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESHOCK_LEDGER", str(tmp_path / "mine"))
    assert default_path() == tmp_path / "mine" == Ledger().path
    assert Ledger(tmp_path / "other").path == tmp_path / "other"
    monkeypatch.setenv("FORESHOCK_LEDGER", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert default_path() == tmp_path / "foreshock" / "ledger.jsonl"
    assert not os.listdir(tmp_path)
