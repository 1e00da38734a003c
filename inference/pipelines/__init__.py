"""What can draw: model folders are inspected, recognized by family and loaded here."""
