//! NGSI-LD: the server against a hub in memory, the writes against the rules, the client against the server.
