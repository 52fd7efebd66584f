"""What the Fine-tune page says: findings, counts and states in sentences. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tale_core.i18n import N_, joined, t, tn
from tale_core.models.adapters.registry import Adapter
from tale_core.strategies import title_of
from tale_core.text import duration, megabytes
from tale_core.tuning.examples import Examples
from tale_core.tuning.run_state import Estimate, Loss, RunState
from tale_core.types import TUNED
from ui.common.text import whole

METHODS = {
    "sft": N_("Imitate the short right answers (SFT)"),
    "dpo": N_("Prefer them to the long answers (DPO)"),
    "imported": N_("imported"),
}
PHASES = {
    "starting": N_("Starting…"),
    "preparing": N_("Getting the model ready for training…"),
    "loading": N_("Loading the model for training…"),
    "measuring": N_("Timing a few passes over your examples…"),
    "training": N_("Training…"),
    "exporting": N_("Writing the adapter…"),
    "ended": N_("Ended."),
}
STATUS = {
    "failed": N_("failed"),
    "cancelled": N_("stopped"),
    "interrupted": N_("interrupted"),
}


def what_there_is(found: Examples) -> str:
    """The examples in a sentence: how many, and how much shorter than vanilla."""
    count = len(found.train)
    if not count:
        return t("There is nothing to learn from yet.")
    if found.writes == "lines":
        return joined(t("The adapter will write lines, which a calculator, a tool, works out."), _how_many(found))
    return _how_many(found)


def _how_many(found: Examples) -> str:
    count = len(found.train)
    means = both_means(found)
    if means is None:
        target = sum(e.target_tokens for e in found.train) / count
        return tn("{n} example, of {tokens:.0f} tokens.", "{n} examples, {tokens:.0f} tokens on average.", count,
                  tokens=target)  # fmt: skip
    vanilla, target = means
    return tn(
        "{n} example: {target:.0f} tokens where the vanilla answer took {vanilla:.0f}, {percent:.0f} % fewer.",
        "{n} examples: {target:.0f} tokens on average where vanilla took {vanilla:.0f}, {percent:.0f} % fewer.",
        count,
        target=target,
        vanilla=vanilla,
        percent=100 * (1 - target / vanilla),
    )


def both_means(found: Examples) -> tuple[float, float] | None:
    """Mean tokens before and after, over the examples whose vanilla answer is known; None without any."""
    known = [(e.vanilla.tokens, e.target_tokens) for e in found.train if e.vanilla]
    if not known:
        return None
    before, after = zip(*known, strict=True)
    return sum(before) / len(before), sum(after) / len(after)


def aside(found: Examples) -> str:
    """What is kept from training."""
    return tn(
        "{n} question is kept aside and never trained on.",
        "{n} questions are kept aside and never trained on.",
        len(found.questions),
    )


def marked(found: Examples) -> str:
    """How many of the examples end where a person marked them."""
    return tn(
        "{n} of them is an answer up to the sentence that a person marked, closed there.",
        "{n} of them are answers up to the sentence that a person marked, closed there.",
        found.marked,
    )


def passed_over(found: Examples) -> list[tuple[str, int]]:
    """Why other questions gave no example, with how many."""
    passed = found.passed
    rows = [
        (t("No short answer was right"), passed.without_right),
        (t("The short answer was no shorter than vanilla"), passed.not_shorter),
        (t("The short answers are outside the lengths asked for"), passed.outside),
        (t("Kept for an evaluation"), passed.excluded),
    ]
    return [row for row in rows if row[1]]


def cost(estimate: Estimate) -> str:
    """What a training will take, as measured."""
    return t(
        "This takes about {time} and {memory} of memory: {steps} steps of {step}.",
        time=duration(estimate.seconds),
        memory=megabytes(estimate.memory),
        steps=f"{estimate.steps:,}",
        step=duration(estimate.seconds_per_step),
    )


def how_measured(estimate: Estimate) -> str:
    """Where the cost comes from."""
    where = t("the processor") if estimate.device == "cpu" else estimate.device
    return t(
        "Measured with {passes} of your examples on {device} in {precision}. A busy machine takes longer.",
        passes=estimate.measured,
        device=where,
        precision=estimate.precision,
    )


def progress(state: RunState) -> str:
    """How far a training is, in a line."""
    if state.phase != "training" or not state.steps:
        return t(PHASES[state.phase])
    words = t("Step {step} of {steps}", step=f"{state.step:,}", steps=f"{state.steps:,}")
    if state.loss is not None:
        words += " · " + t("loss {loss:.3f}", loss=state.loss)
    if state.eta_s is not None:
        words += " · " + t("about {time} left", time=duration(state.eta_s))
    return words


def left_at(state: RunState) -> str:
    """How a training that can go on was left."""
    if state.measure_only:
        return t("measured, not trained yet") if state.status == "done" else t(STATUS[state.status])
    if not state.step:
        return t(STATUS[state.status])
    at = t("Step {step} of {steps}", step=f"{state.step:,}", steps=f"{state.steps:,}")
    return f"{t(STATUS[state.status])} · {at}"


def loss_title(losses: Sequence[Loss]) -> str:
    """What the loss curve shows."""
    held_out = [one.loss for one in losses if one.held_out]
    trained = [one.loss for one in losses if not one.held_out]
    if len(held_out) >= 2:
        best = min(range(len(held_out)), key=held_out.__getitem__)
        if best == len(held_out) - 1:
            return t("On questions kept aside the loss still falls.")
        return t("On questions kept aside the loss was lowest after epoch {epoch}.", epoch=best + 1)
    if len(trained) >= 2 and trained[-1] < trained[0]:
        return t("The loss has fallen from {first:.2f} to {last:.2f}.", first=trained[0], last=trained[-1])
    return t("The loss of each step.")


def tokens_title(found: Examples) -> str:
    """What the histogram shows."""
    means = both_means(found)
    if means is None:
        return t("How long the answers to learn are.")
    return t("The answers to learn take {percent:.0f} % fewer tokens than vanilla.",
             percent=100 * (1 - means[1] / means[0]))  # fmt: skip


def facts(adapter: Adapter) -> str:
    """An adapter in a line."""
    about = adapter.about
    parts = [about.base or about.base_folder or t("an unknown model"), about.method.upper(), about.created[:10]]
    parts.insert(0, t("lines, evaluated by a calculator") if about.writes == "lines" else t("words, no tool"))
    if isinstance(count := about.data.get("examples"), int):
        parts.append(tn("{n} example", "{n} examples", count))
    parts += [megabytes(about.size), t("shipped with the program") if adapter.shipped else t("yours")]
    return " · ".join(part for part in parts if part)


def asked_elsewhere(adapter: Adapter) -> str:
    """What another program has to do with an adapter of this kind."""
    if adapter.about.writes == "lines":
        return t(
            "Elsewhere it needs the same base, the question with these words behind it, and a calculator for its lines:"
        )
    return t("Elsewhere it needs the same base; it is asked the plain question.")


def finding(adapter: Adapter, result: Mapping[str, Any]) -> str:
    """What an evaluation found, in a sentence; "" while it has not both rows."""
    rows = {row["strategy"]: row for row in result.get("rows", ())}
    mine, vanilla = rows.get(f"{TUNED}{adapter.name}"), rows.get("vanilla")
    if not _usable(mine) or not _usable(vanilla):
        return ""
    assert mine is not None and vanilla is not None
    fewer = 100 * (1 - mine["output_tokens"] / vanilla["output_tokens"])
    points = 100 * (mine["accuracy"] - vanilla["accuracy"])
    values = {"n": f"{mine['n']:,}", "fewer": abs(fewer), "mine": 100 * mine["accuracy"],
              "vanilla": 100 * vanilla["accuracy"], "points": points}  # fmt: skip
    if fewer < 0:
        return t("On {n} unseen questions it takes {fewer:.0f} % more output tokens than vanilla, with {mine:.1f} % right instead of {vanilla:.1f} % ({points:+.1f} points).", **values)  # fmt: skip  # noqa: E501
    return t("On {n} unseen questions it takes {fewer:.0f} % fewer output tokens than vanilla, with {mine:.1f} % right instead of {vanilla:.1f} % ({points:+.1f} points).", **values)  # fmt: skip  # noqa: E501


def _usable(row: Mapping[str, Any] | None) -> bool:
    return bool(row and row.get("accuracy") is not None and row.get("output_tokens"))


def table(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """An evaluation's rows, for people."""
    return [
        {
            t("Strategy"): whole(title_of(str(row["strategy"]))),
            t("Right"): _span(row, "accuracy", 100, ".1f", " %"),
            t("Output tokens"): _span(row, "output_tokens", 1, ".1f", ""),
            t("All-in tokens"): "–" if row.get("all_in_tokens") is None else f"{row['all_in_tokens']:.1f}",
            t("Questions"): f"{row.get('n', 0):,}",
        }
        for row in result.get("rows", ())
    ]


def _span(row: Mapping[str, Any], name: str, times: float, form: str, unit: str) -> str:
    value, low, high = (row.get(n) for n in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "–"
    mean = f"{times * value:{form}}{unit}"
    if low is None or high is None:
        return whole(mean)
    return whole(t("{value} ({low} to {high})", value=mean, low=f"{times * low:{form}}", high=f"{times * high:{form}}"))
