"""Inspect: an evaluation of two questions and one that fails, with a tool. Prints what it got, as JSON."""

import json
import os
import sys

os.environ |= {"OPENAI_BASE_URL": sys.argv[1], "OPENAI_API_KEY": "k", "INSPECT_LOG_DIR": os.getcwd()}
from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool


@tool
def add():  # type: ignore[no-untyped-def]
    async def execute(a: int) -> str:
        """Add.

        Args:
            a: A number.
        """
        return str(a)

    return execute


got = []
asked = [Sample(input="How many are 6 times 7?", target="42"), Sample(input="And 3 times 14?", target="42")]
for samples, solver in (
    (asked, [generate()]), ([Sample(input="status 400", target="")], [generate()]),
    (asked[:1], [use_tools(add()), generate(tool_calls="none")]),
):  # fmt: skip
    (log,) = evaluate(Task(dataset=samples, solver=solver, scorer=includes()), model="openai/m", display="none",
                      model_args={"responses_api": False}, max_retries=0)  # fmt: skip
    outputs = [[s.output.completion, [c.function for c in s.output.choices[0].message.tool_calls or ()]]
               for s in log.samples or () if s.output.choices]  # fmt: skip
    got.append([log.status, outputs])
print(json.dumps(got))
