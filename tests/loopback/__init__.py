"""What keeps tests on this machine."""
