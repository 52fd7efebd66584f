"""Kinds of budget: asked for in the prompt, set by the provider's own knob, or enforced; one small class each."""
