"""Logs of other evaluation tools -> samples: who was asked what, what was right, what the model wrote, its tokens.

Told apart by their shape, not by their name, as these tools write them:

* lm-evaluation-harness (github.com/EleutherAI/lm-evaluation-harness, `--log_samples`): a row for each question with
  `doc`, `target`, `arguments`, `resps`, `filtered_resps`, once for every filter;
* Inspect (github.com/UKGovernmentBEIS/inspect_ai): one JSON document with `eval` and `samples`, or its `.eval` archive
  (see `log_archive`);
* promptfoo (github.com/promptfoo/promptfoo): a document whose `results` hold `results` (version 3) or are that list
  (version 2), or one result a line;
* OpenAI evals (github.com/openai/evals): a line with `spec`, then events (`sampling`, `match` …) by sample.

The first response of a sample is taken; how many more there were is told. Their own scores are not read: answers are
graded again. Reasons never quote the file.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from tale_core.datasets.answers import Meaning
from tale_core.datasets.chats import as_list, last_user, whole_prompt, written
from tale_core.datasets.columns import USUAL, find_columns
from tale_core.datasets.log_archive import Member, read_members
from tale_core.datasets.results import Row, RowProblem
from tale_core.datasets.tables import Item, read_table
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.types import FinishReason

Tool = Literal["lm-eval", "inspect", "promptfoo", "openai-evals"]
TOOLS: dict[Tool, str] = {
    "lm-eval": "lm-evaluation-harness",
    "inspect": "Inspect",
    "promptfoo": "promptfoo",
    "openai-evals": "OpenAI evals",
}
ARCHIVE = ".eval"
_LOOKED_AT = 20
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "length": "length", "max_tokens": "length",
    "model_length": "length", "content_filter": "content_filter", "refusal": "content_filter",
}  # fmt: skip
_TEMPLATE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_EXPECTED = (*USUAL["answer"][0], "expected", "expected_output", "reference", "reference_answer", "__expected")
_MAX_MODEL = 80
_ATTACHED = "attachment://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answered question of a log.

    Attributes:
        line: Where it stands: the line, or its number among the samples, from 1.
        question: Its text; `answer` and `options` are cells as data sets have them, None without.
        meaning: How `answer` is to be read.
        text: The first response.
        more: Further responses to the same question that the sample holds.
        way: Who answered and how it was asked, where the log holds several; "" where it holds one.
        tokens: Completion tokens; None where the log names none, as for the other counts.
    """

    line: int
    question: object
    answer: object
    text: str
    prompt: str
    options: object = None
    meaning: Meaning | None = None
    more: int = 0
    way: str = ""
    tokens: object = None
    prompt_tokens: object = None
    reasoning_tokens: object = None
    finish: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """What a log says of itself; `model` and `dataset` are "" where it names none.

    Attributes:
        samples: In its order, with what cannot be used.
    """

    tool: Tool
    model: str
    dataset: str
    samples: Iterable[Sample | RowProblem]


def read_log(data: bytes, suffix: str) -> Log | None:
    """The log that these bytes are; None when they are another file.

    Args:
        data: The file.
        suffix: Of its name: ".json", ".jsonl" or ".eval"; other files are no logs.

    Raises:
        InputError: A log that cannot be read.
    """
    if suffix == ARCHIVE or data[:4] == b"PK\x03\x04":
        return _inspect_archive(data)
    if suffix not in (".json", ".jsonl"):
        return None
    document = _document(data) if suffix == ".json" else None
    if isinstance(document, Mapping):
        return _of_document(document)
    items = read_table(io.BytesIO(data), suffix)
    head = list(islice(items, _LOOKED_AT))
    return _of_rows([item.values for item in head if isinstance(item, Row)], chain(head, items))


def _document(data: bytes) -> object:
    """A file that is one JSON value; None for JSON Lines and for what `read_table` will say is broken."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _of_document(document: Mapping[str, Any]) -> Log | None:
    samples, evaluation, results = (document.get(name) for name in ("samples", "eval", "results"))
    if isinstance(evaluation, Mapping) and "samples" not in document and "status" in document:
        raise InputError(t("The log holds no samples."), t("Write it with its samples (Inspect: log_samples)."))
    if isinstance(evaluation, Mapping) and isinstance(samples, list):
        return _inspect(evaluation, (Member(i, one) for i, one in enumerate(samples, start=1)))
    inner = results.get("results") if isinstance(results, Mapping) else results
    if isinstance(inner, list) and any(_is_promptfoo(one) for one in inner):
        return _promptfoo(list(enumerate(inner, start=1)), [])
    return None


def _of_rows(head: Sequence[Mapping[str, Any]], items: Iterable[Item]) -> Log | None:
    if any(_is_lm_eval(row) for row in head):
        return Log("lm-eval", "", "", _lm_eval(items))
    if any(_is_openai_evals(row) for row in head):
        return _openai_evals(items)
    if any(_is_promptfoo(row) and "vars" in row for row in head):
        rows = list(items)
        problems = [item for item in rows if isinstance(item, RowProblem)]
        return _promptfoo([(item.line, item.values) for item in rows if isinstance(item, Row)], problems)
    return None


def _is_lm_eval(row: Mapping[str, Any]) -> bool:
    return "doc_id" in row and "target" in row and ("resps" in row or "filtered_resps" in row)


def _is_openai_evals(row: Mapping[str, Any]) -> bool:
    if isinstance(row.get("spec"), Mapping):
        return "eval_name" in row["spec"] or "completion_fns" in row["spec"]
    event = {"sample_id", "type", "data"} <= set(row) and ("event_id" in row or "run_id" in row)
    return event or {"input", "ideal", "sampled"} <= set(row)


def _is_promptfoo(row: object) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("prompt"), Mapping) and ("response" in row or "error" in row)


# lm-evaluation-harness


def _lm_eval(items: Iterable[Item]) -> Iterator[Sample | RowProblem]:
    filters: dict[object, object] = {}
    for item in items:
        if isinstance(item, RowProblem):
            yield item
            continue
        row: Mapping[str, Any] = item.values
        name = str(row.get("doc_id"))
        if filters.setdefault(name, row.get("filter")) != row.get("filter"):
            continue  # The same response stands once more, read by another filter.
        yield _lm_eval_sample(item.line, row)


def _lm_eval_sample(line: int, row: Mapping[str, Any]) -> Sample | RowProblem:
    asked = as_list(row.get("resps")) or [as_list(row.get("filtered_resps"))]
    responses = as_list(asked[0])
    if len(asked) > 1 or any(isinstance(one, list) for one in responses):
        return RowProblem(line, t("it was scored by the likelihood of its options: there is no written answer"))
    if not responses:
        return RowProblem(line, t("there is no {what}", what=t("prediction")))
    prompt = _lm_eval_prompt(row.get("arguments"))
    doc: Mapping[str, Any] = row["doc"] if isinstance(row.get("doc"), Mapping) else {}
    question, options = _from_doc(doc)
    return Sample(
        line=line,
        question=question if question is not None else last_user(prompt),
        answer=row.get("target"),
        options=options,
        meaning=Meaning("0"),  # doc_to_target gives an option's place, counted from 0
        text=written(responses[0]),
        prompt=prompt,
        more=len(responses) - 1,
    )


def _lm_eval_prompt(arguments: object) -> str:
    """The text that the model was given: `arg_0` of the first request."""
    first = next(iter(arguments.values()), None) if isinstance(arguments, Mapping) else arguments
    while isinstance(first, list | Mapping) and first:
        first = first.get("arg_0") if isinstance(first, Mapping) else first[0]
    return written(first)


def _from_doc(doc: Mapping[str, Any]) -> tuple[object, object]:
    """Question and options of a row of the data set that was asked, where its columns say which they are."""
    there = list(doc)
    try:
        columns = find_columns(there, {"answer": ""}, sample=[doc])
    except InputError:
        return None, None
    text = doc.get(columns.question)
    before = doc.get(columns.context) if columns.context else None
    if isinstance(text, str) and isinstance(before, str) and before.strip() and before.strip() not in text:
        text = f"{before.strip()}\n{text}"
    cells = [doc.get(c) for c in columns.options]
    return text, cells[0] if len(cells) == 1 else cells or None


# Inspect


def _inspect_archive(data: bytes) -> Log:
    header, members = read_members(data)
    evaluation = header.get("eval")
    return _inspect(evaluation if isinstance(evaluation, Mapping) else {}, members)


def _inspect(evaluation: Mapping[str, Any], members: Iterable[Member | RowProblem]) -> Log:
    task = written(evaluation.get("task")).rpartition("/")[2]
    samples = (one if isinstance(one, RowProblem) else _inspect_sample(one.number, one.value) for one in members)
    return Log("inspect", written(evaluation.get("model")), task, samples)


def _inspect_sample(number: int, sample: object) -> Sample | RowProblem:
    if not isinstance(sample, Mapping):
        return RowProblem(number, t("not a JSON object with named fields"))
    output: Mapping[str, Any] = sample["output"] if isinstance(sample.get("output"), Mapping) else {}
    choices = [one for one in as_list(output.get("choices")) if isinstance(one, Mapping)]
    if sample.get("error") or not (choices or "completion" in output):
        return RowProblem(number, t("the sample failed: it has no whole answer"))
    attached: Mapping[str, Any] = sample["attachments"] if isinstance(sample.get("attachments"), Mapping) else {}
    message = choices[0].get("message") if choices else None
    said = message.get("content") if isinstance(message, Mapping) else output.get("completion")
    asked = sample.get("input")
    usage: Mapping[str, Any] = output["usage"] if isinstance(output.get("usage"), Mapping) else {}
    parts = [usage.get(n) for n in ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")]
    return Sample(
        line=number,
        question=_resolved(last_user(asked), attached),
        answer=sample.get("target"),
        options=sample.get("choices"),
        text=_resolved(written(said), attached) or "",
        prompt=_resolved(whole_prompt(asked), attached) or "",
        more=max(0, len(choices) - 1),
        tokens=usage.get("output_tokens"),
        prompt_tokens=sum(int(n) for n in parts if isinstance(n, int)) if isinstance(parts[0], int) else None,
        reasoning_tokens=usage.get("reasoning_tokens"),
        finish=_FINISH.get(str(choices[0].get("stop_reason"))) if choices else None,
    )


def _resolved(text: str | None, attached: Mapping[str, Any]) -> str | None:
    """A text, or what an archive keeps elsewhere in its place."""
    found = attached.get(text.removeprefix(_ATTACHED)) if text is not None and text.startswith(_ATTACHED) else None
    return found if isinstance(found, str) else text


# promptfoo


def _promptfoo(results: Sequence[tuple[int, object]], problems: Sequence[RowProblem]) -> Log:
    rows = [(line, row) for line, row in results if isinstance(row, Mapping)]
    ways = dict.fromkeys((_provider(row), _index(row)) for _, row in rows)
    providers, several = list(dict.fromkeys(provider for provider, _ in ways)), len({index for _, index in ways}) > 1
    # Each provider has its own numbers, so that numbers tell prompts apart only where one provider has several.
    several = several and len(ways) > len(providers)
    samples: list[Sample | RowProblem] = [*problems]
    for line, row in rows:
        names = [_provider(row)] if len(providers) > 1 else []
        names += [f"prompt {_index(row) + 1}"] if several else []
        samples.append(_promptfoo_sample(line, row, " ".join(names)))
    model = ", ".join(filter(None, providers))
    return Log("promptfoo", model if len(model) <= _MAX_MODEL else f"{len(providers)} models", "", samples)


def _provider(row: Mapping[str, Any]) -> str:
    provider = row.get("provider")
    found = (provider.get("label") or provider.get("id")) if isinstance(provider, Mapping) else provider
    return written(found)


def _index(row: Mapping[str, Any]) -> int:
    found = row.get("promptIdx")
    return found if isinstance(found, int) else 0


def _promptfoo_sample(line: int, row: Mapping[str, Any], way: str) -> Sample | RowProblem:
    response: Mapping[str, Any] = row["response"] if isinstance(row.get("response"), Mapping) else {}
    output = response.get("output")
    if output is None:
        return RowProblem(line, t("the sample failed: it has no whole answer"))
    prompt = row.get("prompt")
    asked = prompt.get("raw") if isinstance(prompt, Mapping) else prompt
    given: Mapping[str, Any] = row["vars"] if isinstance(row.get("vars"), Mapping) else {}
    usage: Mapping[str, Any] = response["tokenUsage"] if isinstance(response.get("tokenUsage"), Mapping) else {}
    details = usage.get("completionDetails")
    question, options = _from_vars(given)
    return Sample(
        line=line,
        question=question if question is not None else last_user(asked),
        answer=_promptfoo_known(row, given),
        options=options,
        text=written(output),
        prompt=whole_prompt(asked),
        way=way,
        tokens=usage.get("completion"),
        prompt_tokens=usage.get("prompt"),
        reasoning_tokens=details.get("reasoning") if isinstance(details, Mapping) else None,
        finish=_FINISH.get(str(response.get("finishReason"))),
    )


def _from_vars(given: Mapping[str, Any]) -> tuple[object, object]:
    """Question and options among the variables of a test: by usual names, or the only one there is."""
    question, options = _from_doc(given)
    if question is None and len(given) == 1:
        question = next(iter(given.values()))
    return question if isinstance(question, str) and question.strip() else None, options


def _promptfoo_known(row: Mapping[str, Any], given: Mapping[str, Any]) -> object:
    """What the test asks to be equal to, else a variable with a usual name; None when neither is there."""
    test: Mapping[str, Any] = row["testCase"] if isinstance(row.get("testCase"), Mapping) else {}
    for one in as_list(test.get("assert")):
        if isinstance(one, Mapping) and one.get("type") == "equals":
            value = one.get("value")
            named = _TEMPLATE.fullmatch(value.strip()) if isinstance(value, str) else None
            return given.get(named.group(1)) if named else value
    found = [value for name, value in given.items() if name.casefold() in _EXPECTED]
    return found[0] if len(found) == 1 else None


# OpenAI evals


@dataclass(slots=True)
class _Asked:
    """What the events of one sample say."""

    line: int
    sampling: Mapping[str, Any] | None = None
    expected: object = None
    more: int = 0


def _openai_evals(items: Iterable[Item]) -> Log:
    found: dict[str, _Asked] = {}
    problems: list[RowProblem] = []
    spec: Mapping[str, Any] = {}
    for item in items:
        if isinstance(item, RowProblem):
            problems.append(item)
        elif isinstance(item.values.get("spec"), Mapping):
            spec = item.values["spec"]  # type: ignore[assignment]  # just checked
        elif {"input", "ideal", "sampled"} <= set(item.values):
            data = item.values | {"prompt": item.values["input"]}
            found[f"line {item.line}"] = _Asked(item.line, data, item.values["ideal"])
        elif "final_report" not in item.values:
            _take_event(found, item.line, item.values)
    named = [str(one.sampling["model"]) for one in found.values() if one.sampling and one.sampling.get("model")]
    functions = [str(one) for one in as_list(spec.get("completion_fns"))] or as_list(spec.get("model_names"))
    model = named[0] if named else ", ".join(map(str, functions)) or written(spec.get("model_name"))
    samples = (_openai_sample(one) for one in found.values())
    return Log("openai-evals", model, written(spec.get("base_eval") or spec.get("eval_name")), chain(problems, samples))


def _take_event(found: dict[str, _Asked], line: int, event: Mapping[str, Any]) -> None:
    data = event.get("data")
    if not isinstance(data, Mapping) or event.get("sample_id") is None:
        return
    one = found.setdefault(str(event["sample_id"]), _Asked(line))
    if event.get("type") == "sampling":
        if one.sampling is None:
            one.line, one.sampling = line, data
        else:
            one.more += 1
    elif one.expected is None:
        one.expected = data.get("expected") if event.get("type") == "match" else data.get("ideal")


def _openai_sample(one: _Asked) -> Sample | RowProblem:
    if one.sampling is None:
        return RowProblem(one.line, t("the sample failed: it has no whole answer"))
    sampled = one.sampling.get("sampled")
    responses = sampled if isinstance(sampled, list) else [sampled]
    if not responses or responses[0] is None:
        return RowProblem(one.line, t("there is no {what}", what=t("prediction")))
    usage = one.sampling.get("usage")
    counts: Mapping[str, Any] = usage if isinstance(usage, Mapping) and len(responses) == 1 else {}
    prompt = one.sampling.get("prompt")
    return Sample(
        line=one.line,
        question=last_user(prompt),
        answer=one.expected,
        text=written(responses[0]),
        prompt=whole_prompt(prompt),
        more=one.more + len(responses) - 1,
        tokens=counts.get("completion_tokens"),
        prompt_tokens=counts.get("prompt_tokens"),
    )
