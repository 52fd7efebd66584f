"""The Estimators page: what there is to learn from, a training, its result, and the saved estimators."""
