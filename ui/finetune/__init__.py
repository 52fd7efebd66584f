"""The Fine-tune page: what there is to learn from, a training as it runs, and the adapters it made."""
