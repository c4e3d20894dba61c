"""``python -m api`` is the command ``tickguard``."""

from api.cli import main

main()
