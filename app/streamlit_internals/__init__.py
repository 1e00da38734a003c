"""The only package that touches Streamlit's private modules; each file says why, and when it can be removed."""
