"""Signals from outside: authenticated, validated and deduplicated before the engine hears of them (DESIGN 7)."""
