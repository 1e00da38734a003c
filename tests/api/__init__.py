"""The REST API: against a studio in memory for every refusal, against the real services for what they share."""
