"""The Python interface: the jobs of the command line as functions, for notebooks and scripts. See docs/api.md.

    import tale_core as tale

    answer = tale.ask("What is 23 + 48?", answer="71", budget=50)

Each job is there twice: `ask` waits for its end, also in a notebook whose event loop is running; `ask_async` is
awaited. All return the records that the pages draw; `table` makes a pandas table of one, `plot` the page's chart.
Everything is stored, so that the pages show it under History, and an answer that is known is not paid for again.

Who is asked is said alike everywhere: nothing means the embedded default, `model` a name of the catalog, of a preset
or of a group (or a client of your own), `base_url` any OpenAI-compatible endpoint. Keys come from the environment or
`api_key`; they are kept nowhere.
"""

from tale_core.api.calls import (
    ask,
    ask_async,
    estimate,
    estimate_async,
    run,
    run_async,
    search,
    search_async,
    sweep,
    sweep_async,
)
from tale_core.api.records import open_session, plot, table
from tale_core.calls.budget_ledger import Limits
from tale_core.datasets import load as load_dataset
from tale_core.store import open_store
from tale_core.types import Question, Sampling

__all__ = [
    "Limits", "Question", "Sampling", "ask", "ask_async", "estimate", "estimate_async", "load_dataset", "open_session",
    "open_store", "plot", "run", "run_async", "search", "search_async", "sweep", "sweep_async", "table",
]  # fmt: skip
