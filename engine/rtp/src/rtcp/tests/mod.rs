mod compound;
mod reception;
mod time;
mod write;

use super::*;
use crate::{ClockRate, DropReason, RtpTime, SeqNo, Ssrc};

/// A block whose fields all differ.
const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(0x0102_0304),
    fraction_lost: 5,
    cumulative_lost: -6,
    highest_seq: 0x0708_090a,
    jitter: 0x0b0c_0d0e,
    last_sr: NtpShort(0x0f10_1112),
    delay_since_last_sr: NtpShort(0x1314_1516),
};

const INFO: SenderInfo = SenderInfo {
    ntp: NtpTime(0x8182_8384_8586_8788),
    rtp: RtpTime(0x9192_9394),
    packets: 0xa1a2_a3a4,
    octets: 0xb1b2_b3b4,
};
