"""Imports point down only; the lines are drawn in the design and held here."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "tale_core").rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def reaches(path: Path, *packages: str) -> list[str]:
    return [n for n in imported(path) for p in packages if n == p or n.startswith(p + ".")]


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_knows_neither_streamlit_nor_the_pages(path):
    assert not reaches(path, "streamlit", "ui", "pages", "app")


@pytest.mark.parametrize(
    "path", [p for p in CORE if not p.name.startswith("client")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_only_the_client_imports_the_sdk(path):
    assert not reaches(path, "openai")


@pytest.mark.parametrize("path", [p for p in CORE if "store" not in p.parts], ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_store_imports_the_database(path):
    assert not reaches(path, "sqlmodel", "sqlalchemy", "alembic")


def test_the_store_never_sees_a_client():
    for path in (ROOT / "tale_core" / "store").rglob("*.py"):
        assert not reaches(path, "tale_core.models", "tale_core.ask", "tale_core.sessions", "tale_core.jobs"), path


@pytest.mark.parametrize("name", ["types", "i18n", "errors", "settings"])
def test_the_foundations_import_nothing_above_them(name):
    order = ["tale_core.types", "tale_core.i18n", "tale_core.errors", "tale_core.settings"]
    allowed = set(order[: order.index(f"tale_core.{name}")])
    found = {n for n in imported(ROOT / "tale_core" / f"{name}.py") if n.startswith("tale_core")}
    assert {".".join(n.split(".")[:2]) for n in found} <= allowed


@pytest.mark.parametrize("name", ["prompts", "verdict"])
def test_prompts_and_arithmetic_stand_on_the_foundations_alone(name):
    path = ROOT / "tale_core" / f"{name}.py"
    assert not reaches(path, "tale_core.models", "tale_core.store", "tale_core.ask", "tale_core.grading")


@pytest.mark.parametrize("name", ["ask", "estimators.zero_shot", "estimators.base"])
def test_asking_and_estimating_see_only_the_client_protocol(name):
    path = ROOT / "tale_core" / (name.replace(".", "/") + ".py")
    assert not reaches(path, "tale_core.models", "tale_core.store", "tale_core.jobs")


def test_starting_the_command_line_loads_nothing_heavy():
    code = "import sys, tale_core.cli; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = [
        "streamlit",
        "xllamacpp",
        "torch",
        "sympy",
        "math_verify",
        "pandas",
        "sklearn",
        "alembic",
        "plotly",
        "openai",
        "pydantic",
        "sqlalchemy",
        "psycopg",
        "ray",
    ]
    out = subprocess.run([sys.executable, "-c", code, *heavy], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "[]", out.stdout + out.stderr
