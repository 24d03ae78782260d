//! Tests of the server and the client on real sockets.
