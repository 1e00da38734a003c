"""What can draw: model folders are inspected, recognised by family and loaded here."""
