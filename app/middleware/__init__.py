"""What every HTTP answer of the studio passes through; one small ASGI wrapper a concern."""
