"""What a person may take along or have erased."""
