"""What ought to have happened, worked out a second time from prices and fills that were delivered.

Nothing here is taken from the core or from the model's rules: only what an owner asked for, what
the venue executed and what a process was told.
"""
