"""The commands of ``tickguard``, one module each."""
