"""What other release engines do with the same hour, re-stated; one module for each."""
