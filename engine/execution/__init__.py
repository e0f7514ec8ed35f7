"""Carries out what the core decided: outbox, routing, retries; decides nothing itself."""
