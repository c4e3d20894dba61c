"""What benches share: frames, the process that sends them, the whole path, rounds and reports."""
