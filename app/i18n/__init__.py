"""The languages of the pages: catalogues, the reader's language, and the wording of errors."""
