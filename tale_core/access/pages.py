"""The few pages that the gate draws itself, before anybody is let in: whole in themselves, and without scripts."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from markupsafe import Markup

from tale_core.i18n import NAMES, language, t

_STYLE = Markup("""
:root { color-scheme: light dark; --text: #10171f; --quiet: #4a5867; --ground: #f4f6f8; --card: #fff; --main: #0b6e66;
  --on: #fff; --bad: #a83504; --bad-ground: #fdf0ea; --line: #8593a3; --edge: #dfe5ea; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6ebf0; --quiet: #a9b5c1; --ground: #11171d; --card: #19212a; --main: #3fb8aa; --on: #06231f;
    --bad: #ff9a6e; --bad-ground: #33201a; --line: #6d7b8a; --edge: #2a343f; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; align-items: center;
  font: 1rem/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif;
  color: var(--text); background: var(--ground); }
main { width: min(25rem, 100% - 2rem); margin: auto; padding: 2.25rem 2rem 2rem; overflow-wrap: anywhere;
  background: var(--card); border: 1px solid var(--edge); border-radius: .75rem; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: .02em; }
p { margin: .35rem 0 0; }
.quiet { color: var(--quiet); font-size: .925rem; }
label { display: block; margin-top: 1.1rem; font-size: .925rem; font-weight: 600; }
input { display: block; width: 100%; padding: .6rem .7rem; margin-top: .3rem; font: inherit; font-weight: 400;
  color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .4rem; }
button { width: 100%; margin-top: 1.6rem; padding: .65rem 1.4rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on); background: var(--main); border: 0; border-radius: .4rem; }
button:hover { filter: brightness(1.08); }
:focus-visible { outline: 2px solid var(--main); outline-offset: 2px; }
.bad { margin-top: 1.1rem; padding: .6rem .8rem; border-radius: .4rem;
  color: var(--bad); background: var(--bad-ground); }
nav { padding: 1.25rem; font-size: .925rem; }
nav a { margin: 0 .6rem; color: var(--quiet); }
nav a[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; }
""")
# No "no-referrer": a browser then sends a form from nowhere ("Origin: null"), which the gate refuses.
_PAGE = Markup("""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="same-origin">
<title>{title}</title>
<style>{style}</style>
</head>
<body><main>
<h1>TALE</h1>
<p class="quiet">{about}</p>
{inside}
</main>
{languages}
</body>
</html>
""")
_FORM = Markup("""{problem}
<form method="post" action="/_tale/sign-in?lang={language}">
<input type="hidden" name="next" value="{path}">
<label>{name_label}<input name="name" value="{name}" autocomplete="username" required {at_name}></label>
<label>{password_label}<input name="password" type="password" autocomplete="current-password" required
{at_password}></label>
<button>{sign_in}</button>
</form>
<p class="quiet" style="margin-top: 1.1rem">{help}</p>""")


def refused_page(why: str) -> str:
    """Says why somebody is not let in, and what to do."""
    return _page(Markup('<p style="margin-top: 1.1rem">{}</p>').format(why), t("Not let in"))


def sign_in_page(path: str, name: str = "", problem: str = "") -> str:
    """Asks for a name and a password.

    Args:
        path: Where to go afterwards, on this server.
        name: As typed before.
        problem: What was wrong with the last try.
    """
    said = Markup('<p class="bad" role="alert">{}</p>').format(problem) if problem else ""
    form = _FORM.format(
        problem=said, language=language(), path=path, name=name, name_label=t("Name"), password_label=t("Password"),
        sign_in=t("Sign in"), help=t("Accounts are made by the owner of this server."),
        at_name="" if name else "autofocus", at_password="autofocus" if name else "",
    )  # fmt: skip
    return _page(form, t("Sign in"), _languages(path))


def _languages(path: str) -> Markup:
    """The languages, each in its own words; choosing one asks for the same page in it."""
    spoken = language()
    links = [
        Markup('<a href="/_tale/sign-in?{}" lang="{}"{}>{}</a>').format(
            urlencode({"lang": one, "next": in_language(path, one)}), one,
            Markup(' aria-current="true"') if one == spoken else "", name,
        )
        for one, name in NAMES.items()
    ]  # fmt: skip
    return Markup("<nav>{}</nav>").format(Markup("").join(links))


def in_language(path: str, one: str) -> str:
    """The same address of this server, in that language."""
    parts = urlsplit(path)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "lang"]
    return f"{parts.path}?{urlencode([*query, ('lang', one)])}"


def _page(inside: Markup, title: str, languages: Markup | str = "") -> str:
    about = t("See, measure and shrink what a model spends on reasoning.")
    return _PAGE.format(
        language=language(), style=_STYLE, title=f"{title} · TALE", about=about, inside=inside, languages=languages
    )
