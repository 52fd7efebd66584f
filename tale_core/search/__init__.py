"""Search: the smallest budget that keeps the answer to one question right, and the modes that look for it."""
