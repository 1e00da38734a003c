"""What is deployed on AWS, and what works out its settings."""
