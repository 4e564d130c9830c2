//! RTP in and out of one leg: latching, receiving, sending, RTCP.  (owner: core)
