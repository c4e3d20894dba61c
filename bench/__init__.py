"""Benches: ratios measured side by side in one run, each the median of interleaved rounds.

Every module here is a bench: ``python -m bench.NAME [--json]``, or ``tickguard bench NAME``. What
they share is in ``bench.shared``.
"""
