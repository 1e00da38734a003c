"""What every HTTP response of the studio passes through; one small ASGI wrapper per concern."""
