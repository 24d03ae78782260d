//! NGSI-LD: codec, API server (the hub as broker and context source), client.
#![forbid(unsafe_code)]
