"""What was spent and what a job may cost, in words, for every kind of job. An unknown price is unknown, never 0."""

from __future__ import annotations

from tale_core.i18n import t, tn
from tale_core.spending import Spent
from tale_core.types import Price


def spent_words(spent: Spent) -> str:
    """What a search has paid for so far; an unknown price is unknown, never 0."""
    if not spent.calls and not spent.reused:
        return t("nothing yet")
    reused = tn("{n} answer reused, not paid for", "{n} answers reused, not paid for", spent.reused)
    if not spent.calls:
        return t("nothing; {reused}", reused=reused)
    values = {"answer": spent.completion_tokens, "prompt": spent.prompt_tokens}
    if spent.estimated:
        tokens = t("about {answer:,} answer tokens and about {prompt:,} prompt tokens", **values)
    else:
        tokens = t("{answer:,} answer tokens and {prompt:,} prompt tokens", **values)
    paid = {"calls": tn("{n} call", "{n} calls", spent.calls), "tokens": tokens, "money": money(spent.cost_usd)}
    if spent.reused:
        return t("{calls}, {tokens}, {money}; {reused}", **paid, reused=reused)
    return t("{calls}, {tokens}, {money}", **paid)


def money(usd: float | None) -> str:
    """Dollars in words; an unknown price is unknown, never 0."""
    if usd is None:
        return t("unknown price")
    if usd == 0:
        return t("$0 (runs on this machine)")
    return f"${usd:.6f}".rstrip("0") if usd < 0.01 else f"${usd:.4f}"


def worst_price(usd: float | None, price: Price | None) -> str:
    """What a job costs at most, with the day that its price was read; what is free has a reason and no day.

    Args:
        usd: Dollars at most; None when there is no bound, or no known price.
        price: Of the model's tokens; None when unknown.
    """
    if price is None or usd == 0:
        return money(usd)
    if usd is None:
        return t("no upper bound: set max_tokens in Settings")
    return t("{money} (price of {date})", money=money(usd), date=price.as_of)
