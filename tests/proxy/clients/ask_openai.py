"""The openai SDK: whole, streamed, tools, errors, models and the Responses API. Prints what it got, as JSON."""

import json
import sys

import openai

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
asked = [{"role": "user", "content": "How many are 6 times 7?"}]
client = openai.OpenAI(base_url=sys.argv[1], api_key="k", max_retries=0)
raw = client.chat.completions.with_raw_response
got: list[object] = [
    raw.create(model="m", messages=asked).text,
    raw.create(model="m", messages=asked, tools=[TOOL]).text,
]
for extra in ({}, {"stream_options": {"include_usage": True}}, {"tools": [TOOL]}):
    streaming = client.chat.completions.with_streaming_response
    with streaming.create(model="m", messages=asked, stream=True, **extra) as stream:
        got.append(b"".join(stream.iter_bytes()).decode())
for status in (400, 429, 500):
    try:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": f"status {status}"}])
    except openai.APIStatusError as e:
        got.append([type(e).__name__, e.status_code, e.response.text, e.response.headers.get("retry-after")])
got.append([one.id for one in client.models.list()])
got.append(client.responses.create(model="m", input="Why?").output_text)
got.append([event.type for event in client.responses.create(model="m", input="Why?", stream=True)])
print(json.dumps(got))
