"""The Streamlit side: page shell, state, panels and charts. Everything that decides anything is in `tale_core`."""
