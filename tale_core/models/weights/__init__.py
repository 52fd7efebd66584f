"""Weights: getting a model's file from this machine, the publisher's hub or the package index, and checking it."""
