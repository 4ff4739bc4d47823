"""The demo: two projects that need no download, a local Label Studio, and, if wanted, simulated annotators."""
