"""The service layer, one package per domain; no Streamlit, no FastAPI, and boto3 only in `services/aws`."""
