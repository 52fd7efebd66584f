"""Ask: a question, its budget, and both answers side by side. The first screen and the main job.

A page's run executes this file for the page; the server imports it for `app`, whose every request passes the gate
first, so that everything is loaded before the first visitor comes.
"""

from starlette.middleware import Middleware
from streamlit import App

from ui.access import middleware, opening
from ui.ask.page import draw
from ui.headers import StrictHeaders, routes
from ui.shell import show

if __name__ == "__main__":
    show(draw)
else:
    app = App(__file__, routes=routes(), middleware=[Middleware(StrictHeaders), *middleware()], lifespan=opening)
