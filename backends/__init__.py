"""Model backends. Each is named in a project's settings by its dotted path, such as `backends.linear:Linear`.

README.md in this folder tells how to write one of your own; the ones here enter by the same door.
"""
