import os

import pytest
from filelock import FileLock
from threadpoolctl import threadpool_limits

from tale_core.estimators import archive, saved
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
def trained(tmp_path_factory):
    """A function: the estimator of a kind and rows, trained once for all workers of a run, which takes seconds."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def once(name, kind, searched):
        path = folder / f"{name}.skops"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                path.write_bytes(archive.to_bytes(train(kind, searched, **NAMED)))
        return archive.from_bytes(path.read_bytes(), where=path.name)

    return once


@pytest.fixture(scope="session")
def regressed(trained):
    return trained("regressed", "regression", rows(60))


@pytest.fixture(scope="session")
def mapped(trained):
    return trained("mapped", "calibrated", rows(60))


@pytest.fixture(scope="session")
def same_estimate(trained):
    return trained("same_estimate", "calibrated", rows(40, zero="same"))
