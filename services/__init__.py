"""What the studio does, one file a capability; no Streamlit, no FastAPI, and boto3 only under `services/aws`."""
