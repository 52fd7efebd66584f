"""One module a command of `tale_core.cli`."""
