"""Pictures and pages as files: HTML and SVG, how wide words are, where words lie in a chart."""
