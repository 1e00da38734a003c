"""How a picture was made: its settings, read from our files and from other programs', and fitted to a model."""
