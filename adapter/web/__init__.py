"""Our endpoints: Label Studio's ML backend protocol, webhooks, files and figures. Thin; all work is done below."""
