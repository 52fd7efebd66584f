"""One Ask that has ended as a picture: the finding, the budget, both answers, their figures, the prompts, the ladder.

The finding comes with what qualifies it; the ladder is that of all tries on the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.calls.budget_ledger import call_apart, money
from tale_core.calls.comparison import (
    Comparison,
    all_in_tokens,
    answer_name,
    compare,
    guess_score,
    role_name,
    saved_words,
    speed_words,
    tokens_per_second,
)
from tale_core.calls.outcomes import TICKS, outcome_kind
from tale_core.calls.recorder import CallView
from tale_core.charts import ask as figures
from tale_core.errors import StoreError
from tale_core.i18n import N_, number, t
from tale_core.models.choice import EMBEDDED
from tale_core.store import Try
from tale_core.types import ANSWERS, GUESSED, AnswerRole, CallRecord, Message, Outcome, Role, Source
from ui.ask.live import (
    ANSWER_HEIGHT,
    STOPPED,
    answer_and_thinking,
    budget_line,
    is_judged,
    is_tuned,
    output_words,
    title_of,
)
from ui.common import state
from ui.common.answer import raw_switch
from ui.common.charts import palette
from ui.common.glossary import explain
from ui.common.lines import draw_call, lines_answer
from ui.common.nav import ELASTICITY, SEARCH
from ui.common.outcome_badge import outcome_badge
from ui.common.run_parts import finding_line, how_it_ended
from ui.common.text import MAX_SHOWN, answer_text, literal

FINISH_WORDS = {
    "stop": N_("the model was done"),
    "length": N_("max_tokens was reached"),
    "content_filter": N_("the provider filtered it"),
    "cancelled": N_("it was stopped"),
    "error": N_("of an error"),
    "other": N_("the endpoint says no more"),
}
SOURCES: dict[Source, str] = {
    "live": N_("live"),
    "cached": N_("cached"),
    "recorded": N_("recorded"),
    "simulated": N_("simulated"),
}
"""Where an answer came from, in words."""


def whole(view: AskView) -> None:
    """A picture that does not change: finding, guesses, budget, answers."""
    head(view)
    picture(view)


def head(view: AskView) -> None:
    """The verdict in one sentence, with everything that qualifies it right below."""
    found = comparison(view)
    how_it_ended(view, "ask")
    if found is None:
        if view.status == "cancelled":
            st.info(t("This session was stopped before both answers had begun."))
        return
    with st.container(key="verdict"):
        finding_line(found.sentence, qualifications(view, found))


def qualifications(view: AskView, found: Comparison) -> list[str]:
    """What a careful reader must know about the finding."""
    records = [c.record for c in view.calls.values()]
    notes = []
    if found.lower_bound and view.calls["vanilla"].record.finish_reason == "length":
        notes.append(
            t("The vanilla answer was cut at max_tokens, so it would have cost more; raise max_tokens in Settings.")
        )
    if found.estimated:
        notes.append(t("Some token counts are estimates: the endpoint did not report them."))
    elif any(r.reasoning_estimated and r.thinking_tokens for r in records):
        notes.append(t("How many tokens are thinking is counted here: the endpoint reports only all of them."))
    notes += _not_live(records)
    for r in records:
        role = answer_name(r)
        if r.finish_reason == "length" and not (found.lower_bound and r.role == "vanilla"):
            notes.append(t("The {role} answer was cut at max_tokens: it is called cut off, not wrong.", role=role))
    if slower := _shorter_but_slower(view):
        notes.append(slower)
    notes += [
        t("{words}.", words=f"{words[0].upper()}{words[1:]}")
        for words in dict.fromkeys(w for r in records for w in r.adjustments if w)
    ]
    if view.together and all(r.source == "live" for r in records) and view.endpoint == EMBEDDED:
        notes.append(
            t("Both answers were generated at the same time on one machine, so their times include each other.")
        )
    return notes


def _not_live(records: Sequence[CallRecord]) -> list[str]:
    """Where answers came from that were not generated now; said once where it is true of all."""
    if len({r.source for r in records}) == 1 < len(records) and records[0].source != "live":
        source = t(SOURCES[records[0].source])
        return [
            t("All of this is {source}: it was not generated now, and its times are the original ones.", source=source)
        ]
    return [
        t(
            "The {role} answer is {source}: it was not generated now, and its times are the original ones.",
            role=answer_name(r), source=t(SOURCES[r.source]),
        )
        for r in records
        if r.source != "live"
    ]  # fmt: skip


def _shorter_but_slower(view: AskView) -> str:
    """Tokens are not time: said where the shorter of two answers came later; "" elsewhere."""
    done = [c.record for role in ANSWERS if (c := view.calls.get(role)) is not None and c.record.status == "done"]
    known = [r for r in done if r.completion_tokens and r.latency_s is not None and r.source == "live"]
    if len(known) < len(ANSWERS):
        return ""
    short, long = sorted(known, key=lambda r: r.completion_tokens or 0)
    if short.completion_tokens == long.completion_tokens or (short.latency_s or 0) <= (long.latency_s or 0):
        return ""
    return t(
        "The shorter answer was not the faster one: {a:,} tokens in {x:.1f} s, {b:,} in {y:.1f} s.",
        a=short.completion_tokens, x=short.latency_s, b=long.completion_tokens, y=long.latency_s,
    )  # fmt: skip


def comparison(view: AskView) -> Comparison | None:
    """The comparison of a picture's answers, or None while there is nothing to compare."""
    vanilla, budgeted = view.calls.get("vanilla"), view.calls.get("budgeted")
    if vanilla is None or budgeted is None:
        return None
    estimate = view.calls.get("estimate")
    return compare(vanilla.record, budgeted.record, estimate.record if estimate else None)


def picture(view: AskView) -> None:
    """What stands below the finding: guesses, budget, answers, prompts."""
    guesses(view)
    budget_line(view)
    answers(view)
    prompts(view)


def guesses(view: AskView) -> None:
    """The viewer's guesses against what happened."""
    lines = []
    for role in ANSWERS:
        call, guess = view.calls.get(role), view.guesses.get(role)
        if guess is None:
            continue
        actual = call.record.completion_tokens if call is not None and call.record.status == "done" else None
        if call is not None and actual is not None:
            message = t(
                "{role}: you guessed {guess}, it took {actual}. Score {score} of 100.",
                role=answer_name(call.record), guess=guess, actual=actual, score=guess_score(guess, actual),
            )  # fmt: skip
            lines.append(message)
    if lines:
        st.info("  \n".join(literal(line) for line in lines), icon=":material/target:")


def answers(view: AskView, roles: Sequence[AnswerRole] = ANSWERS) -> None:
    """The finished answers, and their figures in one table."""
    scale = _scale(view)
    with st.container(key="race"):
        with st.container(horizontal=True, horizontal_alignment="right"):
            raw_switch(*(view.calls[role].text for role in roles if role in view.calls))
        for column, role in zip(st.columns(len(roles), gap="medium"), roles, strict=True):
            with column, st.container(key=f"race-{role}"):
                _answer(view, role, scale)
    _table(view, [role for role in roles if role in view.calls])


def _answer(view: AskView, role: Role, scale: int) -> None:
    call = view.calls.get(role)
    title, hint = title_of(view, role)
    st.markdown(f"#### {title}", help=hint, anchors=False)
    if call is None:
        st.caption(t("Not started."))
        return
    _headline(view, call, scale)
    with st.container(height=ANSWER_HEIGHT, border=True, key=f"answer_{role}"):
        _text(call, role)
    if call.record.error and call.record.error != view.error:
        st.error(literal(call.record.error, 600), icon=":material/error:")


def _scale(view: AskView) -> int:
    counts = [c.record.completion_tokens or c.pieces for role, c in view.calls.items() if role != "estimate"]
    return max([*counts, view.budget or 0, 1])


def _headline(view: AskView, call: CallView, scale: int) -> None:
    record = call.record
    tokens = record.completion_tokens
    budget = view.budget if record.role == "budgeted" else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(" · ".join(output_words(record, budget)))
        if record.status == "running":
            st.badge(t("Being written"), color="gray", icon=":material/edit:")
        elif record.status in STOPPED:
            st.badge(t(STOPPED[record.status]), color="gray", icon=":material/stop:")
        elif is_judged(view, record):
            outcome_badge(record.outcome, record.labelled, refused=record.refused)
    if apart := answer_and_thinking(record, budget):
        st.markdown(" · ".join(apart))
    if tokens is not None:
        figure = figures.token_bar(
            tokens, thinking=record.thinking_tokens or 0, role=record.role, budget=budget, scale=scale,
            tuned=is_tuned(view, record.role), colors=palette(),
        )  # fmt: skip
        st.plotly_chart(
            figure, config={"displayModeBar": False}, key=f"bar_{record.role}", alt=_described(record, budget)
        )


def _described(record: CallRecord, budget: int | None) -> str:
    """The bar in words, for those who do not see it."""
    values = {"role": answer_name(record), "tokens": record.completion_tokens, "budget": budget}
    described = (
        t("{role}: {tokens} output tokens, budget {budget}", **values)
        if budget
        else t("{role}: {tokens} output tokens", **values)
    )
    return t(", ").join([described, *call_apart(record)])


def _text(call: CallView, role: Role) -> None:
    if draw_call(call.record):
        st.download_button(t("Save the whole answer"), call.text, file_name=f"{role}.txt", on_click="ignore")


def _table(view: AskView, roles: Sequence[AnswerRole]) -> None:
    """Every figure of the answers side by side, and by how much they differ."""
    records = [view.calls[role].record for role in roles]
    rows = [(name, [words(r) for r in records], apart) for name, words, apart in _metrics(view, records)]
    rows = [row for row in rows if set(row[1]) - {"–"}]
    if not rows:
        return
    cells = {t("Metric"): [literal(name) for name, *_ in rows]}
    for place, role in enumerate(roles):
        name = title_of(view, role)[0].replace("] ", "]\N{NO-BREAK SPACE}", 1)  # No line with the square alone.
        cells[name] = [literal(values[place]) for _, values, _ in rows]
    if len(roles) > 1:
        cells[t("Difference")] = [literal(apart) for *_, apart in rows]
    named = t("Figures of both answers, and their difference")
    st.caption(named, help=explain("token", "budget", "output tokens", "all-in tokens"))
    st.table(cells, border="horizontal", hide_index=True, alt=named)


def _metrics(view: AskView, records: Sequence[CallRecord]) -> list[tuple[str, Callable[[CallRecord], str], str]]:
    """Name, how an answer says it, and the difference in words, of every line."""
    estimate = view.calls.get("estimate")

    def asked(r: CallRecord) -> int | None:
        return all_in_tokens(estimate.record) if estimate and r.role == "budgeted" else 0

    def all_in(r: CallRecord) -> int | None:
        own, more = all_in_tokens(r), asked(r)
        return None if own is None or more is None else own + more

    def cost(r: CallRecord) -> float | None:
        more = estimate.record.cost_usd if estimate and r.role == "budgeted" else 0.0
        return None if r.cost_usd is None or more is None else r.cost_usd + more

    def thinking(r: CallRecord, value: int | None) -> str:
        return _number(value) if r.thinking_tokens else "–"

    return [
        (t("Output tokens"), lambda r: _number(r.completion_tokens), _tokens(records, lambda r: r.completion_tokens)),
        (t("of which answer"), lambda r: thinking(r, r.visible_tokens), _tokens(records, lambda r: r.visible_tokens)),
        (
            t("of which thinking"),
            lambda r: thinking(r, r.thinking_tokens),
            _tokens(records, lambda r: r.thinking_tokens),
        ),
        (t("All-in tokens"), lambda r: _number(all_in(r)), _tokens(records, all_in)),
        (t("of which prompt"), lambda r: _number(r.prompt_tokens), _tokens(records, lambda r: r.prompt_tokens)),
        (t("of which estimating the budget"), lambda r: _number(asked(r)) if r.role == "budgeted" else "–", "–"),
        (
            t("All-in cost"),
            lambda r: _number(None) if r.completion_tokens is None else money(cost(r)),
            _cost(records, cost),
        ),
        (
            t("First token after"),
            lambda r: _seconds(r.ttft_s, N_("{s:.2f} s")),
            _times(records, lambda r: r.ttft_s, N_("{s:+.2f} s")),
        ),
        (
            t("Whole answer after"),
            lambda r: _seconds(r.latency_s, N_("{s:.1f} s")),
            _times(records, lambda r: r.latency_s, N_("{s:+.1f} s")),
        ),
        (t("Speed"), lambda r: speed_words(tokens_per_second(r)) or "–", "–"),
        (t("Finished because"), lambda r: t(FINISH_WORDS.get(r.finish_reason or "", N_("unknown"))), "–"),
        (t("Answer read"), _read, "–"),
    ]


def _tokens(records: Sequence[CallRecord], value: Callable[[CallRecord], int | None]) -> str:
    """Such as "−145 (65 % fewer)"; "–" where it cannot be said."""
    values = [value(r) for r in records if r.status == "done"]
    if len(values) < len(ANSWERS) or values[0] is None or values[1] is None:
        return "–"
    before, after = values[0], values[1]
    words = number(after - before, "+,") if after != before else "0"
    return f"{words} ({saved_words(1 - after / before)})" if before and after != before else words


def _times(records: Sequence[CallRecord], value: Callable[[CallRecord], float | None], words: str) -> str:
    values = [value(r) for r in records if r.status == "done"]
    if len(values) < len(ANSWERS) or values[0] is None or values[1] is None:
        return "–"
    return _apart(t(words, s=values[1] - values[0]))


def _cost(records: Sequence[CallRecord], cost: Callable[[CallRecord], float | None]) -> str:
    costs = [cost(r) for r in records if r.status == "done"]
    if len(costs) < len(ANSWERS) or costs[1] is None or not costs[0]:
        return "–"
    return _apart(number(100 * (costs[1] / costs[0] - 1), "+.0f") + " %")


def _apart(words: str) -> str:
    """A difference; one that rounds to nothing has no sign."""
    return words if re.search("[1-9]", words) else "0"


def _seconds(value: float | None, words: str) -> str:
    return "–" if value is None else t(words, s=value)


def prompts(view: AskView) -> None:
    """What the model was asked, twice, with the words that one prompt alone has on a ground of their own."""
    prompts_of([(title_of(view, role)[0], view.calls[role].record) for role in ANSWERS if role in view.calls])


def prompts_of(both: Sequence[tuple[str, CallRecord]]) -> None:
    """The prompts of two answers, each under a title in Markdown, the vanilla one first; nothing without both."""
    if len(both) < len(ANSWERS):
        return
    texts = [_prompt(r.messages) for _, r in both]
    before, after = shared_parts(*texts)
    words = t("The two prompts, what differs marked")
    with st.container(key="prompts"), st.expander(words, icon=":material/difference:"):
        for column, (title, record), text, color in zip(
            st.columns(2, gap="medium"), both, texts, ("gray", "blue"), strict=True
        ):
            with column:
                st.caption(title)
                if len(text) > MAX_SHOWN:
                    st.text(answer_text(text)[0])
                else:
                    end = len(text) - after
                    mark = f":{color}-background[%s]"
                    st.markdown(exactly(text[:before]) + exactly(text[before:end], mark) + exactly(text[end:]))
                if record.prompt_tokens is not None:
                    st.caption(t("{n:,} prompt tokens", n=record.prompt_tokens))


def shared_parts(one: str, other: str) -> tuple[int, int]:
    """How many letters both texts share at their beginning and at their end, no word cut in two."""
    a, b = _WORD.findall(one), _WORD.findall(other)
    shorter = min(len(a), len(b))
    start = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    rest = shorter - start
    end = next((i for i in range(rest) if a[-1 - i] != b[-1 - i]), rest)
    return sum(map(len, a[:start])), sum(map(len, a[len(a) - end :]))


def exactly(text: str, mark: str = "%s") -> str:
    """`text` as Markdown that shows exactly it, each of its lines on that ground."""
    lines = []
    for line in text.split("\n"):
        shown = literal(line, MAX_SHOWN)
        left, right = (" " if edge.isspace() else "" for edge in (line[:1], line[-1:]))
        lines.append(f"{left}{mark % shown}{right}" if shown else left)
    return "  \n".join(lines)


def _prompt(messages: Sequence[Message]) -> str:
    return "\n\n".join(message.content for message in messages)


_WORD = re.compile(r"[^\W\u2e80-\u9fff]+|.", re.DOTALL)
"""A word, or a single letter of what is no word; Chinese has no spaces, so that each of its letters is one."""


def ladder(view: AskView) -> None:
    """Every try on this question with this model, wherever it was made, and where to go on from here."""
    try:
        tries = state.store().tries(view.question.text, model=view.model, endpoint=view.endpoint)
    except StoreError:
        return  # The page has said so already.
    if not tries:
        return
    with st.container(key="ladder"):
        st.markdown(f"**{t('All tries on this question with this model')}**")
        st.markdown(" · ".join(_rung(one) for one in tries))
        st.caption(t("Budget, outcome, output tokens; of each budget the newest try."))
        with st.container(horizontal=True):
            for path, label, icon in (
                (SEARCH[0], t("Search its smallest budget"), SEARCH[2]),
                (ELASTICITY[0], t("See its elasticity"), ELASTICITY[2]),
            ):
                st.page_link(path, label=label, icon=icon, query_params=state.address() or None, width="content")


def _rung(one: Try) -> str:
    kind = outcome_kind(one.outcome, refused=one.refused)
    asked = role_name("vanilla") if one.budget is None else f"{one.budget:,}"
    sign = TICKS.get(one.outcome, kind.sign)
    outcome = "" if one.outcome is Outcome.UNGRADED else f":{kind.color}[{sign}] "
    return f"{asked} {outcome}**{one.tokens:,}**"


def _number(value: int | None) -> str:
    return t("unknown") if value is None else f"{value:,}"


def _read(r: CallRecord) -> str:
    if (worked := lines_answer(r)) is not None:
        return worked
    if r.extracted is None:
        return t("nothing")
    read = r.extracted[:80]
    return t("{answer} (guessed: what stands last)", answer=read) if r.extracted_by in GUESSED else read
