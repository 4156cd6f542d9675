//! The REST API and the control socket.
