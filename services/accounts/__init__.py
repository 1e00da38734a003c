"""People: profiles, roles, API keys, preferences, and the local users of an installation without Cognito."""
