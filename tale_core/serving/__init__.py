"""Running the app for many: its processes behind HAProxy, the health check, and calls made from a Ray cluster."""
