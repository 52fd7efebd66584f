"""Models: the catalog, the weights, the embedded server, the client, groups of endpoints, and scripted fakes."""

from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    # The name that scripts know from before the client became a package.
    if name == "client_params":
        from tale_core.models.client import params

        return params
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
