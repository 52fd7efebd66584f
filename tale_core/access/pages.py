"""The few pages that the gate draws itself, before anybody is let in: whole in themselves, and without scripts."""

from __future__ import annotations

from markupsafe import Markup

from tale_core.i18n import language, t

_STYLE = Markup("""
:root { color-scheme: light dark; --text: #10171f; --ground: #fff; --main: #0b6e66; --bad: #b23a06; --line: #56657a; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6ebf0; --ground: #11171d; --main: #168277; --bad: #ff9a6e; --line: #94a3b8; }
}
body { margin: 0; font: 1rem/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
body { color: var(--text); background: var(--ground); }
main { max-width: 26rem; margin: 12vh auto 0; padding: 0 1.25rem; overflow-wrap: anywhere; }
label { display: block; margin-top: 1rem; }
input { box-sizing: border-box; width: 100%; padding: .5rem .6rem; margin-top: .2rem; font: inherit; }
input { color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .4rem; }
button { margin-top: 1.25rem; padding: .55rem 1.4rem; font: inherit; cursor: pointer; }
button { color: #fff; background: var(--main); border: 0; border-radius: .4rem; }
.bad { color: var(--bad); }
""")
_PAGE = Markup("""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>TALE</title>
<style>{style}</style>
</head>
<body><main>
<h1>TALE</h1>
{inside}
</main></body>
</html>
""")
_FORM = Markup("""<p>{asked}</p>
{problem}
<form method="post" action="/_tale/sign-in">
<input type="hidden" name="next" value="{path}">
<label>{name_label}<input name="name" value="{name}" autocomplete="username" required autofocus></label>
<label>{password_label}<input name="password" type="password" autocomplete="current-password" required></label>
<button>{sign_in}</button>
</form>""")


def refused_page(why: str) -> str:
    """Says why somebody is not let in, and what to do."""
    return _page(Markup("<p>{}</p>").format(why))


def sign_in_page(path: str, name: str = "", problem: str = "") -> str:
    """Asks for a name and a password.

    Args:
        path: Where to go afterwards, on this server.
        name: As typed before.
        problem: What was wrong with the last try.
    """
    said = Markup('<p class="bad" role="alert">{}</p>').format(problem) if problem else ""
    return _page(
        _FORM.format(
            asked=t("Sign in to go on."), problem=said, path=path, name=name, name_label=t("Name"),
            password_label=t("Password"), sign_in=t("Sign in"),
        )
    )  # fmt: skip


def _page(inside: Markup) -> str:
    return _PAGE.format(language=language(), style=_STYLE, inside=inside)
