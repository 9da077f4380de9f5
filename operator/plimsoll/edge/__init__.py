"""Effects: the API server, metrics, the store, events and the audit log. No decisions about releases or runs."""
