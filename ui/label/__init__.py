"""The Label page: one answer at a time to judge, agreement between people, known answers from a file, exports."""
