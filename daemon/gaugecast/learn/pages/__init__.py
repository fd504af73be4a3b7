"""What reports are made of: `html` writes pages that need no network, `drawing` the pictures in them."""
