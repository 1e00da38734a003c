"""What a person may export or have erased."""
