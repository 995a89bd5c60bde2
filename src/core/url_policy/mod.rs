//! Which addresses and URLs a request may go to.
