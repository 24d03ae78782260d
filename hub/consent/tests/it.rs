//! Laws and fixtures of the consent room.
