"""The container files, as far as they can be checked without a container engine: what they promise, and what they need.

They are not built here. What is copied into the image is copied into a folder instead, and has to work there.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.groups.config import Group
from tale_core.settings import REPO_ROOT, Settings

pytestmark = pytest.mark.program

PINNED = re.compile(r"^[^:@]+:(v?\d+\.\d+[.\w-]*|server-b\d+)(@sha256:[0-9a-f]{64})?$")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined."""
    text = (REPO_ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name.upper(), " ".join(rest.split()))
        for name, _, rest in (line.partition(" ") for line in joined.splitlines())
    ]


def arguments(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((REPO_ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_the_base_is_pinned_and_slim_and_has_the_python_that_the_lock_is_for() -> None:
    for base in (rest.split()[0] for rest in arguments("FROM")):
        assert PINNED.match(base) and "slim" in base and base.startswith("python:3.11."), base
        assert "@sha256:" in base, base


def test_packages_come_from_the_lock_by_hash_as_wheels_and_from_nowhere_else() -> None:
    installs = [line for line in arguments("RUN") if "pip install" in line]
    assert len(installs) == 1
    for flag in ("--require-hashes", "--only-binary :all:", "-r /tmp/requirements.lock"):
        assert flag in installs[0]
    assert "requirements-postgres.lock /tmp/requirements.lock" in arguments("COPY")
    lock = (REPO_ROOT / "requirements-postgres.lock").read_text(encoding="utf-8")
    wanted = (REPO_ROOT / "requirements.txt").read_text(encoding="utf-8")
    for name in re.findall(r"^([a-z0-9_-]+==[^\s;]+)", wanted, re.MULTILINE):
        assert f"\n{name}" in lock, f"{name} is not in the lock: run make lock"
    assert "\npsycopg==" in lock


@pytest.mark.parametrize("lock", sorted(REPO_ROOT.glob("requirements*.lock")), ids=lambda path: path.name)
def test_every_locked_package_has_its_hashes(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    packages = re.findall(r"^[a-z0-9][\w.\[\],-]*==.*$", text, re.MULTILINE)
    assert packages and all(line.endswith("\\") for line in packages), "run make lock"
    assert text.count("--hash=sha256:") >= len(packages)


def test_make_installs_by_hash_or_from_an_index_that_a_person_names() -> None:
    text = (REPO_ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in text.splitlines() if "pip install" in line and "compile" not in line]
    assert all("--require-hashes" in line or "$(TORCH_INDEX)" in line or "/uv pip" in line for line in installs), (
        installs
    )


def test_nobody_is_root_nothing_is_fetched_by_hand_and_no_secret_is_in_the_image() -> None:
    assert [user.split(":")[0] for user in arguments("USER")] == ["10001"]
    last = [name for name, _ in instructions()]
    assert last.index("USER") < last.index("CMD") and last.count("CMD") == 1
    everything = " ".join(rest for _, rest in instructions())
    assert not re.search(r"\b(curl|wget|sudo|ADD|latest)\b|secrets\.toml|(API_KEY|PASSWORD)=", everything)
    for run in (line for line in arguments("RUN") if "apt-get install" in line):
        assert "--no-install-recommends" in run and "rm -rf /var/lib/apt/lists/*" in run
    ignored = (REPO_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*" and ".streamlit/secrets.toml" in ignored


def test_it_ends_on_sigterm_and_says_whether_it_is_ready() -> None:
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
    (command,) = arguments("CMD")
    assert command.startswith('["python", "-m", "streamlit"')  # No shell in between that would keep the signal.
    assert 'tale_core", "health"' in arguments("HEALTHCHECK")[0]


def test_what_is_copied_into_the_image_works_there(tmp_path: Path) -> None:
    kept = [line[1:] for line in (REPO_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in arguments("COPY"):
        if line.startswith("--from") or "/tmp/" in line:
            continue
        *sources, target = shlex.split(line)
        for source in sources:
            assert source in kept, f"{source} is copied and kept out of the context"
            to = tmp_path / "app" / (target if target != "./" else source)
            to.parent.mkdir(parents=True, exist_ok=True)
            if (REPO_ROOT / source).is_dir():
                shutil.copytree(REPO_ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(REPO_ROOT / source, to)
    code = (
        "from streamlit.testing.v1 import AppTest\n"
        "at = AppTest.from_file('app.py', default_timeout=60).run()\n"
        "told = [e.value for e in at.error]\n"
        "told = [e.replace(chr(92), '') for e in told]\n"  # Markdown's escapes
        "assert not at.exception and len(told) < 2 and all('TALE_OFFLINE' in e for e in told), (at.exception, told)\n"
        "assert at.text_area(key='question') is not None\n"
        "import tale_core; print(tale_core.__file__)\n"
    )
    env = {**os.environ, "TALE_OFFLINE": "true", "TALE_LOG_FORMAT": "json", "TALE_MODEL": "smollm2-135m"}
    for command in (["-c", code], ["-m", "tale_core", "health"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path / "app", env=env, capture_output=True, text=True, timeout=110,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert str(tmp_path) in done.stdout


def test_compose_names_images_by_version_secrets_by_variable_and_opens_nothing_to_others(
    compose: dict[str, Any],
) -> None:
    services = compose["services"]
    assert set(services) == {"app", "db", "model", "vllm"}
    for name, service in services.items():
        image = service["image"]
        assert image == "tale:local" or PINNED.match(image), f"{name}: {image}"
        assert name != "db" or "@sha256:" in image
        for value in map(str, (service.get("environment") or {}).values()):
            assert "password" not in value.lower() or value.startswith("${POSTGRES_PASSWORD:?"), f"{name}: {value}"
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} listens to everybody: {port}"
        assert not service.get("privileged") and service["restart"] == "unless-stopped"
        for volume in service.get("volumes", ()):
            named = volume.split(":")[0]
            assert named in compose["volumes"] or (REPO_ROOT / named).exists(), volume
    app = services["app"]
    assert app["depends_on"]["db"]["condition"] == "service_healthy" and services["db"]["healthcheck"]
    assert app["read_only"] and app["cap_drop"] == ["ALL"] and app["stop_grace_period"] == "30s"


def test_what_compose_tells_the_app_is_what_the_app_reads(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in compose["services"]["app"]["environment"].items():
        monkeypatch.setenv(name, str(value))
    settings = Settings()
    assert settings.resolved_database_url == "postgresql+psycopg://tale@db/tale" and settings.log_format == "json"
    known = {f"TALE_{field.upper()}" for field in Settings.model_fields} | {"PGPASSWORD"}
    assert set(compose["services"]["app"]["environment"]) <= known
    file = tomllib.loads((REPO_ROOT / "deploy" / "endpoint-groups.toml").read_text(encoding="utf-8"))
    for name, entry in file.items():
        one = Group.model_validate({**entry, "name": name})
        assert all(m.base_url.split("/")[2].split(":")[0] in compose["services"] for m in one.endpoints)


def test_the_model_server_reads_the_weights_where_the_app_puts_them(compose: dict[str, Any]) -> None:
    from tale_core.models.weights.local import model_folder

    model = embedded_model("qwen2.5-coder-1.5b")
    there = model_folder(model, Settings(cache_dir=Path("/cache"))) / model.filename
    assert str(there) in compose["services"]["model"]["command"]


def test_ci_runs_the_readmes_test_command_before_anything_that_needs_extras() -> None:
    script = (REPO_ROOT / ".ci" / "run").read_text(encoding="utf-8")
    made = re.findall(r"^make ([a-z-]+)$", script, re.MULTILINE)
    assert made == ["test", "test-extras"]
    makefile = (REPO_ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test-extras: tune ray ", makefile, re.MULTILINE)
    needed = re.search(r"^test: (.*?)  ##.*\n\t(.*)", makefile, re.MULTILINE)
    assert needed is not None and needed[1] == "$(VENV)/.dev" and " lint types " in needed[2]
