"""The Elasticity page: its form, what a sweep will take, and one sweep as a picture."""
