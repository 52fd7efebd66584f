"""Ask: one question answered with and without a budget, side by side, and its life from start to store."""
