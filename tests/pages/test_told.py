"""What pages tell: an answer that has ended says so at once, thinking stands beside the answer, refusals are named, and
a session that is opened says with what it was made.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.ask import run as run_module
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun, AskView, view_of
from tale_core.calls.budget_ledger import money
from tale_core.elasticity.engine import SweepPlan
from tale_core.elasticity.view import SweepView
from tale_core.experiments import ExperimentPlan, results
from tale_core.experiments.export import experiment_document, unit_rows
from tale_core.experiments.html_report import report_html
from tale_core.experiments.run import ExperimentRun
from tale_core.history.compare import side
from tale_core.models.choice import efforts, endpoint_choice
from tale_core.models.endpoints import endpoints
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.runs.documents import ask_document, search_csv, search_document, sweep_csv, sweep_document
from tale_core.runs.study import StudyRun
from tale_core.search.engine import SearchPlan
from tale_core.search.view import SearchView
from tale_core.settings import REPO_ROOT, get_settings
from tale_core.store import Store
from tale_core.types import Client, Completion, Delta, Outcome, Price, Question, Request, Sampling, Usage
from tests.pages.app_page import endpoint, opened, store, words
from ui.ask import live
from ui.common.nav import LESSON, PAGES

PENS = Question("A box holds 6 rows of 8 pens. How many pens?", answer="48")
THOUGHT = "rows times pens makes six times eight " * 4
BUDGET = re.compile(r"less than (\d+) tokens")
PRICE = Price(1.0, 10.0, "2026-11-01")


def thinker(request: Request) -> Reply:
    """A model that thinks before its answers, and answers within any budget while it thinks far beyond it."""
    prompt = request.messages[-1].content
    if "estimate the minimum" in prompt:
        return Reply("Budget: [[20]]", reasoning="hm " * 6)
    asked = BUDGET.search(prompt)
    return Reply("So it is [[48]].", reasoning=THOUGHT if asked is None else "think " * int(asked[1]))


def plain(request: Request) -> Reply:
    return replace(thinker(request), reasoning="")


def ran(run: AskRun | StudyRun) -> Any:
    view = asyncio.run(run.run())
    assert view.status == "done", view.error
    return view


def asked(script: Any, plan: AskPlan | None = None) -> AskView:
    return ran(AskRun((plan or AskPlan(PENS)).checked(), **_with(script)))  # type: ignore[no-any-return]


def studied(script: Any, plan: SearchPlan | SweepPlan) -> Any:
    return ran(StudyRun(plan, **_with(script)))


def _with(script: Any) -> dict[str, Any]:
    async def ready() -> Client:
        return ScriptedClient(script, price=PRICE)

    return {"store": store(), "open_client": ready, "model": "scripted", "endpoint": "scripted"}


def page(name: str, **address: str) -> AppTest:
    use = endpoint("http://127.0.0.1:9/v1", "ok")
    at = AppTest.from_file(str(REPO_ROOT / "app.py"), default_timeout=60)
    if name != "app":
        at.switch_page(f"pages/{name}.py")
    for key, value in address.items():
        at.query_params[key] = value
    at.session_state["session_endpoints"] = {use.key: use}
    at.session_state["chosen_model"] = use.key
    at.run()
    assert not at.exception
    return at


# --- while two answers are written


class Gated:
    """The budgeted answer ends at once; the vanilla one, and the estimate when asked to, wait in the middle."""

    model, endpoint, price = "gated", "scripted", None

    def __init__(self, *, hold: str, fail: bool = False) -> None:
        self.gate, self.hold, self.fail = asyncio.Event(), hold, fail

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        prompt = request.messages[-1].content
        role = "estimate" if "estimate the minimum" in prompt else "budgeted" if BUDGET.search(prompt) else "vanilla"
        text = "Budget: [[60]]" if role == "estimate" else "It is [[48]]."
        for _ in range(50):
            yield Delta(reasoning="hm ")
        if role == self.hold:
            await self.gate.wait()
        yield Delta(text)
        yield Completion(text, Usage(30, 54, 50), "stop", 0.1, 1.0, reasoning_text="hm " * 50)

    async def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def aclose(self) -> None:
        pass


async def _pictures(hold: str, *, then: Callable[[], object] = lambda: None) -> tuple[AskView, AskView]:
    """The picture when all but one call has ended, and the last one."""
    client = Gated(hold=hold)

    async def ready() -> Client:
        return client

    run = AskRun(AskPlan(PENS).checked(), store=store(), open_client=ready, model="gated", endpoint="scripted")
    task = asyncio.create_task(run.run())
    wanted = {"vanilla": ("budgeted", "done"), "estimate": ("estimate", "running")}[hold]
    while True:
        await asyncio.sleep(0.01)
        call = run.view().calls.get(wanted[0])  # type: ignore[call-overload]
        held = run.view().calls.get(hold)  # type: ignore[call-overload]
        if call is not None and call.record.status == wanted[1] and held is not None and held.pieces == 50:
            break
    between = run.view()
    then()
    client.gate.set()
    return between, await task


def drawn(view: AskView) -> list[str]:
    """What the page shows of a running Ask."""

    def script() -> None:
        import streamlit as st

        from ui.ask.live import LiveAsk, phase_line

        view = st.session_state["view"]
        phase_line(view).draw()
        LiveAsk().update(view)

    at = AppTest.from_function(script, default_timeout=60)
    at.session_state["view"] = view
    at.run()
    assert not at.exception
    return words(at.main).splitlines()


def test_an_answer_that_has_ended_says_so_while_the_other_one_is_still_written() -> None:
    between, _ = asyncio.run(_pictures("vanilla"))
    assert between.calls["vanilla"].record.status == "running"
    assert between.calls["budgeted"].record.outcome is Outcome.CORRECT, "graded when it ended"
    said = drawn(between)
    assert "**:green[:material/check: 54 tokens, right]** · answer 4 · budget 60 · thinking 50" in said
    assert any(line.startswith("1.0 s · ") and line.endswith(" tokens/s") for line in said), "beside the length"
    assert "Thinking: about 50 tokens so far" in said
    assert any("The budgeted answer is there; the other one is still being written" in line for line in said)
    assert not any("Writing" in line for line in said)


@pytest.mark.parametrize(
    ("estimator", "waits_for"),
    [("lines", "model"), ("tuned:brief", "model"), ("effort:low", "model"), ("tale-zero-shot", "budget")],
)
def test_an_answer_without_a_number_waits_for_no_budget_and_explains_no_mark_of_one(
    estimator: str, waits_for: str
) -> None:
    between, _ = asyncio.run(_pictures("vanilla"))
    said = "\n".join(drawn(replace(between, phase="preparing", calls={}, budget=None, estimator=estimator)))
    assert said.count(f"Waiting for the {waits_for}…") == (2 if waits_for == "model" else 1)
    assert ("┆ is the budget" in said) is ("Budget: not known yet" in said) is (waits_for == "budget")


def test_an_answer_that_has_ended_stands_still_on_the_axis_of_both() -> None:
    between, _ = asyncio.run(_pictures("vanilla"))
    held = between.calls["vanilla"]
    ended, said = set(), {}
    for pieces in (50, 64, 100, 300, 301, 2000):
        grown = replace(between, calls={**between.calls, "vanilla": replace(held, pieces=pieces, thought=pieces)})
        lines = drawn(grown)
        ended.add(tuple(line for line in lines if line.startswith(("**:green", ":blue[━"))))
        said[pieces] = "\n".join(lines)
        assert (
            "A full line is 300 tokens, a stated default: the length of this model's answers is not known yet."
            in said[pieces]
        )
    assert len(ended) == 1, "whatever the other one does"
    assert "about 301 tokens so far, more than 300" in said[301] and "more than" not in said[300]


@pytest.mark.parametrize(
    ("tokens", "budget", "letters"),
    [
        (0, None, "─" * 28),
        (100, None, "━" * 14 + "─" * 14),
        (104, None, "━" * 14 + "╾" + "─" * 13),
        (200, None, "━" * 28),
        (900, 50, "━" * 7 + "┆" + "━" * 20),
        (50, 100, "━" * 7 + "─" * 7 + "┆" + "─" * 13),
        (50, 5000, "━" * 7 + "─" * 20 + "┆"),
    ],
)
def test_a_lane_is_always_as_long_and_its_budget_a_dashed_mark(tokens: int, budget: int | None, letters: str) -> None:
    drawn = live.lane("budgeted", tokens, 200, budget=budget)
    assert "".join(c for c in drawn if c in "━╾─┆") == letters


def test_the_axis_is_what_this_model_took_before() -> None:
    asyncio.run(_pictures("vanilla"))
    between, _ = asyncio.run(_pictures("vanilla"))
    assert between.expected == 54
    said = "\n".join(drawn(replace(between, endpoint="embedded")))
    assert "A full line is 60 tokens: this model's answers without a budget take about 54." in said
    assert "Both are written by one machine at the same time and share its speed." in said
    said = "\n".join(drawn(replace(between, foretold=True)))
    assert "A full line is 60 tokens: an estimator expects about 54 of this question without a budget." in said


def test_no_axis_is_drawn_before_it_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    late = threading.Event()
    monkeypatch.setattr(run_module, "EXPECTATION_S", 60)
    monkeypatch.setattr(Store, "vanilla_tokens", lambda *args, **kwargs: (late.wait(60), [1])[1])
    try:
        between, _ = asyncio.run(_pictures("vanilla", then=late.set))
    finally:
        late.set()
    said = drawn(between)
    assert not between.axis_known and not any("A full line" in line or "━" in line or "┆" in line for line in said)
    assert "Thinking: about 50 tokens so far" in said, "the rest does not wait for it"


def test_a_vanilla_answer_that_is_shown_again_is_the_axis() -> None:
    _, first = asyncio.run(_pictures("vanilla"))
    again = AskPlan(PENS, estimator="fixed:60", reuse_vanilla=first.calls["vanilla"].record)

    async def ready() -> Client:
        return Gated(hold="")

    run = AskRun(again.checked(), store=store(), open_client=ready, model="gated", endpoint="scripted")
    assert run.view().expected == 54 and run.view().axis_known


def test_an_estimate_on_its_way_is_seen_in_the_lane_of_its_answer_while_vanilla_does_not_wait() -> None:
    between, done = asyncio.run(_pictures("estimate"))
    said = "\n".join(drawn(between))
    assert "Budget: not known yet" in said
    assert "Estimating the budget: about 50 tokens of thinking so far, at most 1,024" in said and "hm hm" in said
    assert "vanilla" in between.calls and done.budget == 60


def test_a_failed_estimate_says_so_in_its_lane_while_vanilla_goes_on() -> None:
    between, _ = asyncio.run(_pictures("estimate"))
    estimate, vanilla = between.calls["estimate"], between.calls["vanilla"]
    failed = replace(estimate, record=replace(estimate.record, status="failed", error="The endpoint failed."))
    running = replace(vanilla, record=replace(vanilla.record, status="running"))
    said = "\n".join(drawn(replace(between, calls={"estimate": failed, "vanilla": running})))
    assert "No budget: the estimate failed. The endpoint failed." in said
    assert "The estimate failed; the vanilla answer is still being written…" in said


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
def test_an_answer_that_ended_badly_says_so_at_once(status: Any) -> None:
    between, _ = asyncio.run(_pictures("vanilla"))
    call = between.calls["budgeted"]
    error = "The endpoint failed." if status == "failed" else None
    record = replace(call.record, status=status, error=error, outcome=Outcome.ERROR if error else Outcome.UNGRADED)
    said = "\n".join(drawn(replace(between, calls={**between.calls, "budgeted": replace(call, record=record)})))
    told = {
        "failed": "54 tokens, failed]** · answer 4 · budget 60 · thinking 50 · The endpoint failed.",
        "cancelled": "Stopped",
        "interrupted": "Interrupted",
    }
    assert told[status] in said and "Right" not in said


def test_an_adapters_answer_is_called_so_while_it_is_written() -> None:
    between, _ = asyncio.run(_pictures("vanilla"))
    said = "\n".join(drawn(replace(between, estimator="tuned:brief", budget=None)))
    assert ":violet[■] Fine-tuned" in said and "Budget:" not in said and ":violet[━" in said


# --- answer and thinking


def test_the_cost_of_a_budget_holds_its_estimate_and_a_difference_of_nothing_has_no_sign() -> None:
    view = asked(thinker)
    calls = {role: call.record for role, call in view.calls.items()}
    costs = {role: record.cost_usd or 0.0 for role, record in calls.items()}
    at = page("app", session=view.session_id)
    lines = [[cell.replace("\\", "") for cell in row] for row in at.table[0].value.itertuples(index=False)]
    rows = {metric: rest for metric, *rest in lines}
    assert rows["All-in cost"][:2] == [money(costs["vanilla"]), money(costs["budgeted"] + costs["estimate"])]
    assert not any(re.search(r"[+−-]0(\.0+)?( s)?$", cell) for row in rows.values() for cell in row)
    said = words(at.main)
    assert said.count("is simulated: it was not generated now") == 1 and "All of this is simulated" in said


def test_ask_shows_answer_and_thinking_apart_and_together() -> None:
    view = asked(thinker)
    said = words(page("app", session=view.session_id).main)
    vanilla, budgeted = (view.calls[role].record for role in ("vanilla", "budgeted"))
    assert (budgeted.visible_tokens, budgeted.thinking_tokens, budgeted.completion_tokens) == (9, 20, 29)
    assert "**29 output tokens**" in said and "answer 9 · budget 20 · thinking 20" in said
    assert "of which answer" in said and "of which thinking" in said
    assert "in the answer without its thinking)" in said
    assert vanilla.cost_usd == pytest.approx((vanilla.prompt_tokens or 0) * 1e-6 + 37 * 1e-5), "thinking is paid for"


def test_without_thinking_nothing_is_said_of_it_anywhere() -> None:
    ids = {"app": asked(plain).session_id}
    ids["Search"] = studied(plain, SearchPlan(PENS)).session_id
    ids["Elasticity"] = studied(plain, SweepPlan(PENS, budgets=(20,), repeats=1)).session_id
    for name, session in ids.items():
        said = words(page(name, session=session).main).lower()
        for word in ("of which answer", "of which thinking", "without its thinking", " · thinking"):
            assert word not in said, (name, word)


def test_search_shows_answer_and_thinking_of_every_probe() -> None:
    view: SearchView = studied(thinker, SearchPlan(PENS))
    at = page("Search", session=view.session_id)
    table = at.table[0].value
    column = list(table["of which thinking"])
    assert column[0] == "28" and set(table["of which answer"]) == {"9"} and len(column) == len(view.steps) > 2
    document = search_document(view)
    for probe in document["probes"]:
        assert probe["visible_tokens"] + probe["thinking_tokens"] == probe["completion_tokens"]
        assert probe["visible_tokens"] == 9
    assert "visible_tokens,thinking_tokens" in search_csv(view).splitlines()[0]
    assert "the answer without its thinking" in words(at.main)


def test_a_sweep_holds_budgets_against_the_answer_and_shows_the_thinking_beside_it() -> None:
    view: SweepView = studied(thinker, SweepPlan(PENS, budgets=(20, 5), repeats=2, sampling=Sampling(0.7)))
    document = sweep_document(view)
    for point in document["points"]:
        assert point["visible_tokens_mean"] + point["thinking_tokens_mean"] == point["tokens_mean"]
    twenty, five = document["points"][2:]
    assert (twenty["tokens_mean"], twenty["visible_tokens_mean"], twenty["within_budget"]) == (29, 9, 1.0)
    assert (five["tokens_mean"], five["visible_tokens_mean"], five["within_budget"]) == (14, 9, 0.0)
    assert "visible_tokens_mean,thinking_tokens_mean" in sweep_csv(view).splitlines()[0]
    at = page("Elasticity", session=view.session_id)
    said = words(at.main)
    assert "of which thinking" in said and "open marks: the answer without its thinking" in said


def test_an_experiment_shows_answer_and_thinking_in_table_exports_and_report() -> None:
    plan = ExperimentPlan(questions=(PENS,), strategies=("vanilla", "fixed:20"), dataset="mine")
    run = ExperimentRun(plan.checked(), **_with(thinker))
    asyncio.run(run.run())
    found = results(store(), run.id)
    for row in experiment_document(found)["rows"]:
        assert row["visible_tokens"] + row["thinking_tokens"] == row["output_tokens"] and row["visible_tokens"] == 9
    for unit in unit_rows(store(), run.id):
        assert unit["visible_tokens"] + unit["thinking_tokens"] == unit["output_tokens"]
    assert "of which thinking" in report_html(found)
    at = page("Experiments", experiment=run.id)
    assert "of which thinking" in words(at.main)


def test_the_answer_objects_of_a_document_have_the_parts_beside_their_sum() -> None:
    for script, parts in ((thinker, (9, 28, 37)), (plain, (9, 0, 9))):
        answer = ask_document(asked(script))["answers"]["vanilla"]
        assert (answer["visible_tokens"], answer["thinking_tokens"], answer["completion_tokens"]) == parts
        assert answer["sampling"] == {
            "temperature": 0.0, "top_p": None, "seed": 1024, "max_tokens": 2048, "reasoning_effort": None, "knob": None,
        }  # fmt: skip


def test_a_part_that_is_unknown_of_one_answer_is_unknown_of_their_mean() -> None:
    told = iter([Usage(9, 20, 12), Usage(9, 20, None)] * 9)
    view: SweepView = studied(
        lambda request: Reply("It is [[48]].", usage=next(told)), SweepPlan(PENS, budgets=(20,), repeats=2, slots=1)
    )
    point = sweep_document(view)["points"][0]
    assert point["tokens_mean"] == 20 and point["visible_tokens_mean"] is point["thinking_tokens_mean"] is None


# --- refusals


def test_a_refusal_is_called_a_refusal_and_no_failure() -> None:
    view = asked(lambda request: replace(plain(request), finish_reason="content_filter"))
    document = ask_document(view)
    assert document["answers"]["vanilla"]["outcome"] == "error" and "Both refused" in document["verdict"]
    said = words(page("app", session=view.session_id).main)
    assert said.count("Refused") == 2 and "Failed" not in said


# --- what a session was made with


def test_every_kind_of_session_names_model_endpoint_sampling_and_date_when_it_is_opened() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, seed=5, max_tokens=300, reasoning_effort="low")
    today = f"{datetime.now(UTC).astimezone():%Y-%m-%d}"
    run = ExperimentRun(
        ExperimentPlan(questions=(PENS,), strategies=("vanilla",), dataset="mine", sampling=sampling).checked(),
        **_with(plain),
    )
    asyncio.run(run.run())
    pages = {
        "app": {"session": asked(plain, AskPlan(PENS, sampling=sampling)).session_id},
        "Search": {"session": studied(plain, SearchPlan(PENS, sampling=sampling)).session_id},
        "Elasticity": {"session": studied(plain, SweepPlan(PENS, budgets=(20,), sampling=sampling)).session_id},
        "Experiments": {"experiment": run.id},
    }
    for name, address in pages.items():
        said = words(page(name, **address).main)
        told = "scripted · scripted · Paper: answer in [[brackets]] · temperature 0.7, top p 0.9, seed 5, "
        assert f"{told}at most 300 tokens an answer, effort low · {today}" in said, name


def test_compare_shows_the_sampling_of_the_answers_and_not_of_the_estimate() -> None:
    left = asked(plain, AskPlan(PENS, sampling=Sampling(0.7, seed=3))).session_id
    right = asked(plain, AskPlan(PENS, sampling=Sampling(0.2, seed=4))).session_id
    assert side(store(), left).facts["sampling"] == "temperature 0.7, seed 3, at most 2,048 tokens an answer"
    at = page("History", a=left, b=right)
    said = words(at.main)
    assert "what differs: sampling." in at.subheader[0].value.replace("\\", "")
    for warm, seed in (("0.7", 3), ("0.2", 4)):
        assert said.count(f"temperature {warm}, seed {seed}, at most 2,048 tokens an answer") == 2
    assert "temperature 0.1" not in said


def test_answers_of_one_session_that_were_sampled_differently_say_so_each() -> None:
    first = asked(plain, AskPlan(PENS, sampling=Sampling(0.7)))
    again = AskPlan(PENS, estimator="fixed:30", sampling=Sampling(0.0), reuse_vanilla=first.calls["vanilla"].record)
    second = asked(plain, again)
    told = "vanilla: temperature 0.7, seed 1024, at most 2,048 tokens an answer; budgeted: temperature 0, seed 1024"
    assert side(store(), second.session_id).facts["sampling"].startswith(told)
    assert told in words(page("app", session=second.session_id).main)


def test_a_document_has_the_date_that_is_stored() -> None:
    view = asked(plain)
    stored = ask_document(view_of(store().get_session(view.session_id)))
    assert datetime.fromisoformat(stored["created_at"]).tzinfo is not None
    assert ask_document(view)["created_at"] == stored["created_at"]
    json.dumps(stored)


# --- levels of effort


def test_the_levels_of_effort_are_those_of_the_endpoints_file() -> None:
    for preset in endpoints():
        for model in preset.models:
            assert efforts(endpoint_choice(model=model.name, preset_name=preset.name)) == model.efforts
            assert efforts(endpoint_choice(model=model.name, base_url=preset.base_url)) == model.efforts
    every = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    assert efforts(endpoint_choice(model="gpt-4o", base_url="http://127.0.0.1:9/v1")) == every
    assert efforts(endpoint_choice(model="mine", preset_name="vllm")) == ("none", "low", "medium", "high")


@pytest.mark.parametrize("model", ["o3-mini", "gpt-4o", "gpt-6-sol", "anything"])
def test_pages_offer_the_levels_that_the_chosen_model_has(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    known = model != "anything"
    use = endpoint_choice(model=model, preset_name="openai") if known else endpoint("http://127.0.0.1:9/v1", model)
    levels = [*efforts(use)]
    for name in ("Settings", "Experiments"):
        at = AppTest.from_file(str(REPO_ROOT / "app.py"), default_timeout=60).switch_page(f"pages/{name}.py")
        at.session_state["session_endpoints"] = {use.key: use}
        at.session_state["chosen_model"] = use.key
        at.session_state["effort"] = "minimal"
        at.run()
        assert not at.exception
        if name == "Settings":
            box = at.selectbox(key="effort")
            assert box.options == ["model default", *levels] and box.disabled == (not levels)
            assert box.value == ("minimal" if "minimal" in levels else "model default")
        else:
            offered = [o for o in at.multiselect(key="exp_strategies").options if "effort" in o.lower()]
            assert offered == [f"Native effort: {level}" for level in levels]


def test_in_the_sidebar_the_reason_why_a_model_is_not_there_is_folded_away():
    def page():
        from tale_core.models.embedded.prepare import Readiness
        from ui.shell import draw_status

        draw_status(Readiness("m", "failed", "No source answered."), narrow=True)

    at = AppTest.from_function(page, default_timeout=60).run()
    (box,) = at.expander
    assert not at.exception and box.label == "The model is not there" and "No source answered" in box.error[0].value
    assert at.button[0].label == "Try again"


def test_a_damaged_database_is_told_in_words_on_every_page():
    folder = get_settings().data_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tale.db").write_bytes(b"no database" * 4000)
    for path, _, _ in PAGES:
        at = opened(path)
        said = words(at.main) + words(at.sidebar)
        assert not at.exception, path
        assert path == LESSON[0] or "is damaged or is not a database" in said, path  # A lesson is told without it.
