//! Messages as receivers read them.
