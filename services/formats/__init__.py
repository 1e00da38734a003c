"""Files: reading, checking, sanitizing, and writing pictures and their metadata; knows no record and no AWS."""
