"""Human-in-the-loop labeling for Label Studio.

Everyone votes (labeling functions, models, people); the adapter consolidates the votes, asks people only where the
votes are not yet good enough, and certifies the labels when they are.

Importing this package connects to nothing and loads no heavy library.
"""

__version__ = "0.4.0"
