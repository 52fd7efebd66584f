"""Calls made from a Ray cluster: workers ask the model, this process keeps the plan, the limits and the store.

`worker` makes calls without Ray; `client` makes the workers look like one model; `gates` holds the limits of endpoints
for the whole cluster; `engine` starts and ends it all. Ray is imported when it is used.
"""
