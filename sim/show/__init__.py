"""Pictures, tables and pages of schedules and traces."""
