"""The demonstration: the real service against the exchange simulator, judged independently."""
