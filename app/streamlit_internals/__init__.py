"""The only package that touches Streamlit's private modules; each file says what it needs and when it can go."""
