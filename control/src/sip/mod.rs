//! SIP over UDP and TCP.
