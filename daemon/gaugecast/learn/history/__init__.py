"""What was recorded, on its ticks: rows of files and of a ledger, read in slices, so that length costs no memory."""
