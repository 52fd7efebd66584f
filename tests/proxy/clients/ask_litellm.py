"""LiteLLM: whole, streamed, tools, errors. Prints what it got, as JSON."""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # Else it asks a server for prices.
import litellm

litellm.suppress_debug_info = True
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
to = {"model": "openai/m", "api_base": sys.argv[1], "api_key": "k", "num_retries": 0, "max_retries": 0}
asked = [{"role": "user", "content": "How many are 6 times 7?"}]
got: list[object] = [litellm.completion(messages=asked, **to).choices[0].message.content]
got.append("".join(p.choices[0].delta.content or "" for p in litellm.completion(messages=asked, stream=True, **to)))
call = litellm.completion(messages=asked, tools=[TOOL], **to).choices[0].message.tool_calls[0]
got.append([call.function.name, call.function.arguments])
for status in (400, 429):
    try:
        litellm.completion(messages=[{"role": "user", "content": f"status {status}"}], **to)
    except Exception as e:
        got.append([type(e).__name__, str(e)])
print(json.dumps(got))
