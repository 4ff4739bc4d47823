"""Where work on many rows runs: this machine's processes (`adapter.engines.local`)."""
