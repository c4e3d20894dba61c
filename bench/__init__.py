"""Benches: ratios measured side by side in one run, each the median of interleaved rounds."""
