"""The page that makes TALE work for a model: what it costs, how far it is, what it found."""
