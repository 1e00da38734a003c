"""The middleware of every HTTP response: one small ASGI wrapper per concern."""
