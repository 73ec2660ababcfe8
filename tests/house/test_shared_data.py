"""Tests that need the shared market data are marked, skipped where it is missing, and never skipped in CI."""

import pytest

from tests.conftest import find_shared_data
from tests.paths import SHARED


def test_missing_data_skips_with_the_reason_and_fails_in_ci(tmp_path):
    nowhere = {"FORESHOCK_SHARED_DATA": str(tmp_path / "nowhere")}
    with pytest.raises(pytest.skip.Exception, match=r"no market data at .*nowhere; set FORESHOCK_SHARED_DATA to its folder"):
        find_shared_data(nowhere)
    with pytest.raises(pytest.fail.Exception, match=r"no market data at .*nowhere; set FORESHOCK_SHARED_DATA to its folder"):
        find_shared_data(nowhere | {"CI": "true"})


def test_the_variable_comes_before_the_folder_beside_the_repository(tmp_path):
    assert find_shared_data({"FORESHOCK_SHARED_DATA": str(tmp_path), "CI": "true"}) == tmp_path
    if SHARED.is_dir():
        assert find_shared_data({}) == SHARED


def test_whatever_asks_for_the_data_is_marked(request, shared_data):
    assert request.node.get_closest_marker("real_data") is not None
    assert shared_data.is_dir()


def test_what_does_not_ask_for_it_is_not_marked(request):
    assert request.node.get_closest_marker("real_data") is None
