"""Reasons to doubt what one person said of a task, by what the others said of it: never by anything that saw the judged
vote. Pure."""
