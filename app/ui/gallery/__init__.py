"""Parts of the Gallery page: grid, albums, filters, trash, and exports."""
