"""What many tests share: servers that misbehave or count, databases, real weights, files of other tools."""
