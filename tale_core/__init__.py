"""TALE: token-budget-aware reasoning. The engine, without Streamlit.

`import tale_core as tale` is the interface for notebooks and scripts (docs/api.md): `tale.ask(…)`, `tale.search(…)`,
`tale.sweep(…)`, `tale.run(…)` and what belongs to them. It is loaded when it is first used.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tale_core.api import Limits as Limits
    from tale_core.api import Question as Question
    from tale_core.api import Sampling as Sampling
    from tale_core.api import ask as ask
    from tale_core.api import ask_async as ask_async
    from tale_core.api import estimate as estimate
    from tale_core.api import estimate_async as estimate_async
    from tale_core.api import load_dataset as load_dataset
    from tale_core.api import open_session as open_session
    from tale_core.api import open_store as open_store
    from tale_core.api import plot as plot
    from tale_core.api import run as run
    from tale_core.api import run_async as run_async
    from tale_core.api import search as search
    from tale_core.api import search_async as search_async
    from tale_core.api import sweep as sweep
    from tale_core.api import sweep_async as sweep_async
    from tale_core.api import table as table

__version__ = "0.1.0"

__all__ = [
    "Limits", "Question", "Sampling", "ask", "ask_async", "estimate", "estimate_async", "load_dataset", "open_session",
    "open_store", "plot", "run", "run_async", "search", "search_async", "sweep", "sweep_async", "table",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tale_core import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Python sets a module as an attribute of its package when it is loaded; `tale.ask` has to stay the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
