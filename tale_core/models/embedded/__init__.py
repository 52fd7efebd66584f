"""The embedded model: which models this program can serve by itself, and the llama.cpp server that does it."""
