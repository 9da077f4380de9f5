"""Pure decisions. No I/O, no clock, no randomness, no logging, no asyncio, no kopf, no kubernetes client in here."""
