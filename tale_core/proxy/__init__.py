"""The drop-in endpoint: what other programs ask of a model goes through it, watched, and shortened where wanted.

`app` passes requests on, `change` says what may be changed and how, `pairs` asks a sample both ways, `figures` says
what came out and chooses. Texts are kept only where somebody asked for it.
"""
