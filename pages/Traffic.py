"""Traffic: what went through the drop-in endpoint, what is saved of it, where it does harm, what to do next."""

from ui.shell import show
from ui.traffic.page import draw

show(draw, roles=("owner",))
