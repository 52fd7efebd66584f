"""Simon Willison's llm, its command: streamed, whole, an error. Prints what it got, as JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import llm  # noqa: F401  # It is there.

models = f"- model_id: mm\n  model_name: m\n  api_base: {sys.argv[1]}\n"
Path("extra-openai-models.yaml").write_text(models, encoding="utf-8")
got = []
for words in (["How many are 6 times 7?"], ["--no-stream", "How many are 6 times 7?"], ["--no-stream", "status 400"]):
    command = [str(Path(sys.executable).with_name("llm")), "-m", "mm", "--key", "k", *words]
    done = subprocess.run(command, env={**os.environ, "LLM_USER_PATH": os.getcwd()}, capture_output=True, text=True,
                          timeout=120)  # fmt: skip
    got.append([done.returncode, done.stdout, done.stderr])
print(json.dumps(got))
