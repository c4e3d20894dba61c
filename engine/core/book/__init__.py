"""The position book: every threshold in the order in which prices reach it.

Each price channel of an instrument has two directions, falling and rising. Inside a direction all
is told by the *way* a price has gone: the price itself where it rises to thresholds, its negative
where it falls to them. So a threshold is reached when way >= key in both, and the smallest key is
reached first and is the farthest behind: the worst distance.

Rules are known by a *code*: the age of their position in the book (a rising number) and their
place among its rules, so that codes sort by age.

Thresholds and prices are compared as doubles: both are the nearest doubles of decimal strings of at
most 15 significant digits, and rounding to nearest keeps order and equality of such strings.
"""
