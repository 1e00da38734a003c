"""What the studio does, one package a domain; no Streamlit, no FastAPI, and boto3 only under `services/aws`."""
