"""What several pages share: navigation, the page of a run, the question form, widgets in the address, safe text."""
