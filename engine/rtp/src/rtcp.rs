//! RTCP: compound parsing and building (RFC 3550 §6), reception statistics.  (owner: rtp; may become a folder)
