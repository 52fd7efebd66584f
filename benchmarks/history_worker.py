"""The History page opened again and again in a process of its own, against the store of `TALE_DATA_DIR`.

Each line on standard input is one opening in a fresh browser session, and one run of the page again in it; each answer
is a line of JSON with both times. AppTest runs the page as Streamlit's server does, without sending it to a browser.
"""

from __future__ import annotations

import json
import sys
import time

from streamlit.testing.v1 import AppTest  # noqa: TID251 - it is the page that is measured

from tale_core.models.choice import endpoint_choice
from tale_core.settings import REPO_ROOT

NOBODY = endpoint_choice(model="nobody", base_url="http://127.0.0.1:9/v1")
"""A model that is never asked, so that no weights are looked for."""


def opened(address: dict[str, str]) -> tuple[float, float, float]:
    """Seconds of an opening, of a run again, and of the processor's time for the opening."""
    page = AppTest.from_file(str(REPO_ROOT / "app.py"), default_timeout=120).switch_page("pages/History.py")
    page.session_state["session_endpoints"] = {NOBODY.key: NOBODY}
    page.session_state["chosen_model"] = NOBODY.key
    for name, value in address.items():
        page.query_params[name] = value
    times = []
    for _ in range(2):
        began, busy = time.perf_counter(), time.process_time()
        page.run()
        times.append((time.perf_counter() - began, time.process_time() - busy))
        if page.exception:
            raise RuntimeError(page.exception[0].message)
    return times[0][0], times[1][0], times[0][1]


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(opened(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
