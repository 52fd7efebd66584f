import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, so that no `data` of the project is found."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
