"""Parts of the Create page: the form and what submits it."""
