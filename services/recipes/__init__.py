"""Reads how a picture was made from the studio's and other programs' files, and fits the settings to a model."""
