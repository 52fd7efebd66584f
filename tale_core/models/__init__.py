"""Models: the catalog, the weights, the embedded server, the client and its scripted fake."""
