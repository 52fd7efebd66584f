"""What `make bench` measures: ratios between two ways of doing the same thing, taken in one run on one machine.

A part is a module with a `run(options)` that returns a `PartResult`; `parts.PARTS` lists them. No figure here is a
test: machines differ, ratios on the same machine in the same minute much less.
"""
