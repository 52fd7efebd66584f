"""Who is asking: one gate before any page reads anything, and what it lets each of them do.

*Alone* is the default: whoever reaches this machine's own address is the owner, as long as nobody else works on the
machine. *Class*: the owner by the link of the start, everybody else a student. *Team*: nobody without a name and a
password, or a sign-in by OpenID Connect. No Streamlit here: `ui.access` asks.
"""
