"""Labels in the store: what people say about answers, what is to label next, and what each label changes."""
