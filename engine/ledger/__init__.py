"""The event store: writer, schema, snapshots, projections, queries."""
