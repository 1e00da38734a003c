"""JumpStart models as Terraform variables; runs in an environment of its own (`requirements.txt` beside this file)."""
