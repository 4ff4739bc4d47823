"""Labeling functions that come with the product, a module for each project; see README.md for how to write your own."""
