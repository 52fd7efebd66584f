"""LangChain: whole, streamed, tools, errors. Prints what it got, as JSON."""

import json
import sys

from langchain_openai import ChatOpenAI

TOOL = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}
chat = ChatOpenAI(model="m", base_url=sys.argv[1], api_key="k", max_retries=0)
asked = "How many are 6 times 7?"
got: list[object] = [chat.invoke(asked).content, "".join(piece.content for piece in chat.stream(asked))]
got.append([[call["name"], call["args"]] for call in chat.bind_tools([TOOL]).invoke(asked).tool_calls])
for status in (400, 429):
    try:
        chat.invoke(f"status {status}")
    except Exception as e:
        got.append([type(e).__name__, str(e)])
print(json.dumps(got))
