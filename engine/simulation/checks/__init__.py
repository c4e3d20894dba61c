"""The invariants of a lifetime, one module for each group of them.

What is judged is the venues' own executions, the requests that left and arrived, what was committed
and what the guardian was told; nothing is taken from the core.
"""
