"""The embedded cloud: MiniStack on loopback, what it has acknowledged kept on disk, and who may talk to it."""
