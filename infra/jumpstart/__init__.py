"""Writes JumpStart models as Terraform variables; runs in its own environment (`requirements.txt` in this folder)."""
