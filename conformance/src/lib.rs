//! The stand-in platforms for the demo and for faults. Shares no code with hub/.
#![forbid(unsafe_code)]
