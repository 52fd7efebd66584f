"""Sessions as rows that leave, come or go: archives between machines, copies between databases, delete and undo."""
