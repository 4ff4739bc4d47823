"""The verbs. A stage reads the store, calls pure functions, writes the store, and returns a frozen Report.

A stage remembers nothing else: it may be killed and run again at any point, and two runs give what one gives.
"""
