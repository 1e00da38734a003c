"""The languages of the pages: catalogs, the reader's language, and the wording of errors."""
