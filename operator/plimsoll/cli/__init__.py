"""The kubectl plugin (`kubectl plimsoll …`)."""
