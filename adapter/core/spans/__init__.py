"""Spans that several people marked, and those that are there: candidates and the model of who marks what."""
