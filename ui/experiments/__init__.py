"""The Experiments page: its form and cost estimate, results, comparison with others, and uploads."""
