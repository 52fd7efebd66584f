"""An adapter writes words or lines for the calculator: its data decide it; all that asks, reads and shows follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tale_core.ask.plan import AskPlan, CallFinished, ask
from tale_core.ask.run import AskView
from tale_core.errors import AdapterFileError, InputError
from tale_core.experiments.columns import COLUMNS, document
from tale_core.experiments.table import rows_of
from tale_core.grading.lines import evaluated, tuned_template
from tale_core.i18n import use_language
from tale_core.models.adapters import exchange
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.check import WRITES
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.prompts.messages import plain_messages
from tale_core.store import UnitFigures, open_store, stored_answers
from tale_core.strategies import Tuned, hint_of, strategy, title_of, tool_of
from tale_core.tuning import runs, worker
from tale_core.tuning.base import Base
from tale_core.tuning.data import examples_from_store
from tale_core.tuning.examples import Example, Examples, Selection
from tale_core.tuning.examples_file import from_jsonl, to_jsonl
from tale_core.tuning.plan import TunePlan
from tale_core.tuning.sampling import examples_from_sampling
from tale_core.types import Outcome, Question, Request
from tests.tuning import samples
from ui.ask import live
from ui.finetune.text import asked_elsewhere, facts, what_there_is

ALL = Selection(held_out=0.0)
WORDS = samples.examples()


def in_lines(i: int, value: str = "pens + more") -> str:
    return f"pens = {i}\nmore = 5\nanswer = {value}"


def lines(template: str = "assignments") -> Examples:
    made = [
        replace(example, target=in_lines(int(example.question.text.split()[0])), template=template)
        for example in (*WORDS.train, *WORDS.held_out)
    ]
    return Examples(tuple(made[:12]), tuple(made[12:]), questions=WORDS.questions)


def test_what_the_sampled_strategy_wrote_the_adapter_will_write_and_the_file_carries_it():
    name = samples.sampled(
        {i: [(f"Sure:\n{in_lines(i)}\n", 20, Outcome.CORRECT)] for i in range(2, 12)}, strategies=("lines",),
        prompt_template="assignments",
    )  # fmt: skip
    found = examples_from_sampling(open_store(), name, ALL).examples
    assert {e.target for e in found.train} == {in_lines(i) for i in range(2, 12)}, "the prose is not learnt"
    assert found.writes == from_jsonl(to_jsonl(found)).writes == "lines" and WORDS.writes == "words"
    run = runs.create(TunePlan(name="brief", base=samples.BASE), found)
    told = worker.about(run, Base("", "", Path("m"), ""), run.examples(), {})
    assert told["writes"] == "lines"


def test_lines_that_do_not_come_to_the_known_value_are_never_learnt_whatever_their_outcome_says():
    name = samples.sampled(
        {2: [(in_lines(2, "pens * more"), 9, Outcome.CORRECT), (in_lines(2), 12, Outcome.CORRECT)],
         3: [(in_lines(3, "pens * more"), 9, Outcome.CORRECT)]},
        strategies=("lines",), prompt_template="assignments",
    )  # fmt: skip
    assert [e.target for e in examples_from_sampling(open_store(), name, ALL).examples.train] == [in_lines(2)]
    bad = replace(lines(), train=(replace(lines().train[0], target=in_lines(2, "pens - more")),))
    with pytest.raises(InputError, match="do not come to its answer"):
        from_jsonl(to_jsonl(bad))


def test_one_adapter_learns_one_way_and_goes_on_in_it(tmp_path):
    both = Examples((*WORDS.train, *lines().train[:1]), ())
    with pytest.raises(InputError, match="the others are words"):
        both.require()
    samples.adapter(tmp_path, "worded", settings=_settings())
    samples.adapter(tmp_path, "lined", settings=_settings(), writes="lines")
    for parent, examples, words in (("worded", lines(), "writes words"), ("lined", WORDS, "writes lines")):
        with pytest.raises(InputError, match=words):
            runs.create(TunePlan(name="next", base=samples.BASE, parent=parent), examples)
    assert runs.create(TunePlan(name="next", base=samples.BASE, parent="lined"), lines())
    assert runs.create(TunePlan(name="next", base=samples.BASE, parent="worded"), WORDS)


def _settings() -> dict[str, object]:
    return {"rank": 8, "alpha": 32, "targets": ["q_proj", "v_proj"]}


def test_what_goes_on_from_an_adapter_of_lines_learns_from_lines_and_never_from_its_words():
    key = "lined@abc"
    told = (
        ("budgeted", "words", samples.short(2)), ("vanilla", "words", samples.long(2)),
        ("budgeted", tuned_template(key, "lines"), in_lines(2)), ("budgeted", "assignments", in_lines(2) + " + 0"),
        ("budgeted", tuned_template("other@abc", "lines"), in_lines(2) + " "),
    )  # fmt: skip
    made = [
        samples.call("x", role, text, 10 + 40 * (role == "vanilla"), prompt_template=name) for role, name, text in told
    ]
    samples.asked(samples.question(2), made)
    read = stored_answers(open_store(), model=samples.BASE, adapter=key, writes="lines")
    assert [a.text for a in read] == [told[1][2], told[2][2], told[3][2]]
    (found,) = examples_from_store(
        open_store(), model=samples.BASE, selection=ALL, parent=key, writes="lines"
    ).train  # fmt: skip
    assert found.target == in_lines(2) and found.vanilla is not None and found.writes == "lines"
    assert [a.text for a in stored_answers(open_store(), model=samples.BASE)] == [told[0][2], told[1][2]]


@pytest.mark.parametrize(("language", "last"), [("en", "answer ="), ("zh", "答案 =")])
def test_lines_are_asked_for_in_the_wording_of_lines_without_its_examples(language, last):
    question = Question("2 and 5?", language=language)
    (asked,) = plain_messages(question, writes="lines")
    assert asked.content.startswith("2 and 5?\n") and last in asked.content and len(asked.content) < 100
    assert [m.content for m in plain_messages(question)] == ["2 and 5?"]


async def test_an_adapter_of_lines_answers_an_ask_and_is_called_the_use_of_a_tool_everywhere(tmp_path):
    one = samples.adapter(tmp_path, writes="lines")
    asked: list[Request] = []

    def say(request: Request) -> str:
        asked.append(request)
        return in_lines(2) if request.adapter else "[[7]]"

    plan = AskPlan(samples.question(2), estimator="tuned:brief")
    client = ScriptedClient(say, model=samples.BASE)
    calls = {e.call.role: e.call async for e in ask(plan, client) if isinstance(e, CallFinished)}
    (mine,) = [request for request in asked if request.adapter]
    assert mine.messages == plain_messages(replace(plan.question, kind="number"), writes="lines")
    call = calls["budgeted"]
    assert (call.outcome, call.extracted, call.extracted_by) == (Outcome.CORRECT, "7", "lines")
    assert call.prompt_template == tuned_template(one.key, "lines") and evaluated(call.prompt_template)
    assert isinstance(strategy("tuned:brief"), Tuned) and tool_of("tuned:brief") == "calculator"
    for language, word in (("en", "calculator"), ("zh", "计算器")):
        with use_language(language):
            assert word in title_of("tuned:brief") and word in hint_of("tuned:brief")
    samples.adapter(tmp_path, "other")
    assert tool_of("tuned:other") is None and "calculator" not in title_of("tuned:other")


def test_an_adapter_that_is_gone_leaves_answers_that_still_say_which_tool_they_took(tmp_path):
    template = tuned_template("gone@abc", "lines")
    unit = UnitFigures(
        0, 0, "tuned:gone", "done", True, Outcome.CORRECT, "7", "stop", None, 9, 20, 9, None, 1.0, 1, 0, 0, None, None,
        template=template,
    )  # fmt: skip
    told = [document(COLUMNS, row)["tool"] for row in rows_of([unit], ["tuned:gone", "vanilla"], planned=1)]
    assert told == ["calculator", None]


def test_the_mark_travels_in_the_file_and_a_mark_that_is_none_is_damaged(tmp_path):
    weights = tmp_path / "base.gguf"
    weights.write_bytes(samples.base())
    for said, writes in (("lines", "lines"), ("verse", "words")):
        file = tmp_path / f"{said}.gguf"
        file.write_bytes(samples.lora(values=[samples.string(WRITES, said)]))
        one = exchange.import_gguf(file, name=said, base=samples.BASE, weights=weights)
        assert one.about.writes == writes
    path = one.folder / adapters.DESCRIPTION
    path.write_text(path.read_text().replace('"writes": "words"', '"writes": "verse"'))
    with pytest.raises(AdapterFileError, match="damaged"):
        adapters.find("verse")


def test_the_pages_tell_the_two_kinds_apart(tmp_path):
    lined, worded = samples.adapter(tmp_path, "lined", writes="lines"), samples.adapter(tmp_path, "worded")
    assert "evaluated by a calculator" in facts(lined) and "no tool" in facts(worded)
    assert "calculator" in asked_elsewhere(lined) and "plain question" in asked_elsewhere(worded)
    assert "a tool" in what_there_is(lines()) and "a tool" not in what_there_is(WORDS)
    for name, told in (("lined", True), ("worded", False)):
        view = AskView(
            "ask-1", "running", "answering", samples.question(2), samples.BASE, "embedded", True,
            estimator=f"tuned:{name}",
        )  # fmt: skip
        title, hint = live.title_of(view, "budgeted")
        assert title.startswith(":violet[■] Fine-tuned")
        assert ("calculator" in title, "calculator" in hint) == (told, told)


def test_an_example_of_a_file_from_before_is_words():
    assert Example(samples.question(2), "7", 1, None, "words", "").writes == "words"
