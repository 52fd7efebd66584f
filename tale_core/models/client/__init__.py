"""The client for every OpenAI-compatible endpoint. The only package that imports the openai SDK."""
