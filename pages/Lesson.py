"""Where Class was before: links and bookmarks of then lead there, with all that they carry."""

import streamlit as st

carried = [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]
st.switch_page("pages/Class.py", query_params=carried)
