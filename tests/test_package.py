"""The wheel: what it carries, and that it works from a folder that is not the checkout."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from tale_core import __version__
from tale_core.settings import APP_ROOT, DATA_ROOT, REPO_ROOT
from tests.support.counting_endpoint import CountingEndpoint, Reply
from tests.support.waiting import free_port

pytestmark = [pytest.mark.program, pytest.mark.sqlite_only("about a package")]
IN_THE_PACKAGE = "tale_core/_app/"
MOVED = ("ui/", "pages/", "data/", "app.py", ".streamlit/")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: the build's own packages are among those that tests need."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", str(REPO_ROOT), "--wheel-dir", str(folder), "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation"], check=True, timeout=110, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@dataclass(frozen=True)
class Installed:
    """An installed package, and a folder of somebody's work to use it in."""

    site: Path
    here: Path

    def command(self, *args: str) -> list[str]:
        return [sys.executable, str(self.site / "bin" / "tale"), *args]

    def env(self, **more: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.site), "PYTHONDONTWRITEBYTECODE": "1", **more}

    def run(self, *command: str, **env: str) -> str:
        done = subprocess.run(
            command, cwd=self.here, env=self.env(**env), capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self) -> set[Path]:
        return set(self.site.rglob("*"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", str(wheel), "--target", str(target), "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps"], check=True, timeout=110)
    return target


@pytest.fixture
def installed(site: Path, tmp_path: Path) -> Iterator[Installed]:
    """Nothing may be written where it is installed."""
    found = Installed(site, tmp_path / "work")
    found.here.mkdir()
    before = found.files()
    yield found
    assert found.files() == before


def carried() -> set[str]:
    """What of the checkout belongs into a wheel, by its place there."""
    places = [REPO_ROOT / name for name in ("tale_core", "ui", "pages", "data")]
    files = [p for place in places for p in place.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files += [REPO_ROOT / "app.py", REPO_ROOT / ".streamlit" / "config.toml"]
    names = (p.relative_to(REPO_ROOT).as_posix() for p in files)
    return {IN_THE_PACKAGE + n if n.startswith(MOVED) else n for n in names}


def test_the_wheel_carries_the_program_its_pages_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    assert names == carried()
    for name in (
        "_app/app.py", "_app/pages/Fine-tune.py", "_app/ui/icon.png", "_app/.streamlit/config.toml",
        "_app/data/adapters/brief/adapter.gguf", "_app/data/recorded/recipes.toml", "locales/zh/shell.po",
        "store/migrations/script.py.mako", "lessons/assets/lesson.js", "py.typed",
    ):  # fmt: skip
        assert f"tale_core/{name}" in names


def required(name: str) -> set[str]:
    """The requirements that a file names, without its reasons."""
    lines = (line.split("#")[0].strip() for line in (REPO_ROOT / name).read_text(encoding="utf-8").splitlines())
    return {re.sub(r"\s+", "", line) for line in lines if line and not line.startswith("-")}


def test_its_version_dependencies_and_extras_come_from_one_place_each(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (place,) = (n.removesuffix("METADATA") for n in archive.namelist() if n.endswith("dist-info/METADATA"))
        about = Parser().parsestr(archive.read(f"{place}METADATA").decode())
        scripts = configparser.ConfigParser()
        scripts.read_string(archive.read(f"{place}entry_points.txt").decode())
        assert f"{place}licenses/LICENSE" in archive.namelist()
    assert about["Version"] == __version__ and about["License-Expression"] == "MIT"
    told = {re.sub(r"\s+", "", line) for line in about.get_all("Requires-Dist", [])}
    wanted = {
        f"{line};extra=='{extra}'" for extra in about.get_all("Provides-Extra", [])
        for line in required(f"requirements-{extra}.txt")
    }  # fmt: skip
    assert {line.replace('"', "'") for line in told} == required("requirements.txt") | wanted
    assert set(about.get_all("Provides-Extra", [])) == {"tune", "ray", "postgres", "otel"}
    assert dict(scripts["console_scripts"]) == {"tale": "tale_core.__main__:main"}


def test_the_script_asks_from_any_folder_and_calls_itself_by_its_name(installed: Installed) -> None:
    assert installed.run(*installed.command("--version")).strip() == __version__
    assert installed.run(*installed.command("ask", "--help")).startswith("usage: tale ask ")
    with CountingEndpoint(lambda prompt: Reply("[[71]]")) as endpoint:
        asked = installed.command("ask", "What is 23 + 48?", "--answer", "71", "--base-url", endpoint.base_url)
        document = json.loads(installed.run(*asked, "--model", "m", "--budget", "50", "--json"))
    assert {a["outcome"] for a in document["answers"].values()} == {"correct"}
    assert not list(installed.here.iterdir())


def test_what_comes_with_the_program_is_found_in_a_wheel(installed: Installed) -> None:
    code = (
        "import tale_core, json\n"
        "from tale_core import datasets, settings\n"
        "from tale_core.estimators import saved\n"
        "from tale_core.experiments.paper import paper_rows\n"
        "from tale_core.i18n import t, use_language\n"
        "from tale_core.lessons.recorded import bundled\n"
        "from tale_core.models import endpoints\n"
        "from tale_core.models.adapters import registry as adapters\n"
        "from tale_core.models.embedded import catalog\n"
        "from tale_core.store import open_store\n"
        "from tale_core.tuning.install import COMMANDS\n"
        "with use_language('zh'): chinese = t('Search')\n"
        "print(json.dumps([tale_core.__file__, len(datasets.shipped()), len(bundled()), len(catalog.embedded_models()),"
        " len(endpoints.endpoints()), len(adapters.listing().adapters), len(list(saved.SHIPPED.glob('*.skops'))),"
        " len(paper_rows()), 1 + open_store().count_sessions(), chinese, COMMANDS[1]]))\n"
    )
    where, *counts, chinese, command = json.loads(installed.run(sys.executable, "-c", code))
    assert Path(where).is_relative_to(installed.site) and min(counts) > 0 and chinese == "搜索"
    assert command == 'pip install "tale[tune]"'


def test_the_pages_run_from_any_folder_with_their_own_theme(installed: Installed) -> None:
    # What lies in the folder of whoever starts it is theirs: it is neither imported nor read.
    (installed.here / "ui.py").write_text("raise SystemExit('a file of somebody else')\n")
    (installed.here / "plotly.py").write_text("raise SystemExit('a file of somebody else')\n")
    port = free_port()
    env = installed.env(TALE_OFFLINE="1", TALE_MODEL="smollm2-135m", HOME=str(installed.here))
    log = (installed.here / "log").open("wb")
    with log, subprocess.Popen(
        installed.command("app", "--port", str(port)), cwd=installed.here, env=env, stdout=log, stderr=log
    ) as app:  # fmt: skip
        try:
            assert answered(f"http://127.0.0.1:{port}/_stcore/health", app) == "ok", log
        finally:
            app.terminate()
    code = (
        "import streamlit.config as config\n"
        "from streamlit.testing.v1 import AppTest\n"
        "from tale_core.settings import APP_ROOT\n"
        "config._main_script_path = str(APP_ROOT / 'app.py')\n"
        "import sys; sys.path.insert(0, str(APP_ROOT))\n"
        "for page in ('app.py', *(f'pages/{p.name}' for p in sorted((APP_ROOT / 'pages').glob('*.py')))):\n"
        "    at = AppTest.from_file(str(APP_ROOT / 'app.py'), default_timeout=60).switch_page(page).run()\n"
        "    assert not at.exception, (page, at.exception)\n"
        "print(config.get_option('theme.light.primaryColor'), config.get_option('browser.gatherUsageStats'))\n"
    )
    env = {k: v for k, v in env.items() if k.startswith("TALE_") or k == "HOME"}
    assert installed.run(sys.executable, "-P", "-c", code, **env).split() == ["#0b6e66", "False"]


def answered(url: str, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode())
        time.sleep(0.1)
    return ""


def test_it_can_be_cited_with_the_paper_whose_method_it_is_and_its_changes_are_told() -> None:
    citation = yaml.safe_load((REPO_ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["license"] == "MIT" and citation["authors"] and citation["message"]
    (paper,) = citation["references"]
    assert paper["url"] == "https://arxiv.org/abs/2412.18547" and len(paper["authors"]) == 6
    headings = re.findall(r"^## (.+)$", (REPO_ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_in_a_checkout_everything_lies_where_it_is_named() -> None:
    assert APP_ROOT == REPO_ROOT and DATA_ROOT == REPO_ROOT / "data"
    assert (APP_ROOT / "app.py").is_file() and (DATA_ROOT / "models.toml").is_file()


def test_shipped_files_are_looked_for_in_one_way() -> None:
    for path in sorted((REPO_ROOT / "tale_core").rglob("*.py")):
        assert not re.search(r"REPO_ROOT\s*/", path.read_text(encoding="utf-8")), path
