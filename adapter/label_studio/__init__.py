"""Label Studio: transport, platform, desk, label config, payloads, and the server that we may start ourselves."""
