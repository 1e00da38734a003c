"""The pages, one file each: the gate first, then what the page shows."""
