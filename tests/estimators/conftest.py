import pytest
from threadpoolctl import threadpool_limits

from tale_core.estimators import saved
from tale_core.estimators.training import train
from tests.estimators.simulated import MODEL, TEMPLATE, rows

NAMED = {"model": MODEL, "template": TEMPLATE, "trained_on": "2026-11-02T10:00:00+00:00"}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(autouse=True)
def nothing_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "SHIPPED", tmp_path / "shipped")


@pytest.fixture(scope="session")
def regressed():
    return train("regression", rows(60), **NAMED)


@pytest.fixture(scope="session")
def mapped():
    return train("calibrated", rows(60), **NAMED)


@pytest.fixture(scope="session")
def same_estimate():
    return train("calibrated", rows(40, zero="same"), **NAMED)
