"""Calibration: which prompt template a model obeys, measured by a short run and remembered by model."""
