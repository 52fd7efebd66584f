"""The charts of the pages as plotly figures, for pages and notebooks alike. They draw no widget.

Each takes the colours to draw in; a page gives those of the theme that its reader has chosen.
"""
