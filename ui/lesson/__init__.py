"""The Class page: the lesson and its recordings, and rooms for a teacher and students."""
