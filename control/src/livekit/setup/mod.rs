//! `voxcore livekit setup`: trunks and a dispatch rule, made or brought up to date.
//!
//! ```text
//!  options ─► Wish ─┐
//!                   ├─► plan (pure) ─► shown ─► applied, step by step
//!  server ─► Found ─┘
//! ```
//!
//! Everything it makes has a name that begins with `--name`, and it changes nothing that has not.
//! What an option does not mention stays as it is.

mod apply;
mod object;
mod options;
mod plan;
mod report;
mod server;

use std::process::ExitCode;

use crate::config::LivekitConfig;

pub(super) use object::{Found, rooms};
pub(super) use options::SetupArgs;
pub(super) use options::Wish;
pub(super) use server::{NO_REDIS, client, found};

use plan::{Step, conflicts, plan};
use report::Report;

/// Shows what is to be done, and does it.
pub(super) async fn run(wish: Wish, config: &LivekitConfig) -> ExitCode {
    let sip = client(config);
    let mut report = Report::new(wish.json, wish.dry_run);
    match found(&sip).await {
        Ok(found) => {
            let steps = plan(&wish, &found);
            report.planned(&steps, conflicts(&steps, &found));
            if report.may_go_on() {
                carry_out(&sip, steps, &mut report).await;
            }
        }
        Err(why) => report.failed(why),
    }
    report.end()
}

/// The rule names the trunk, so the trunk comes first; what fails stops the rest.
async fn carry_out(
    sip: &livekit_api::services::sip::SIPClient,
    steps: Vec<Step>,
    report: &mut Report,
) {
    let mut made = None;
    for (at, mut step) in steps.into_iter().enumerate() {
        step.object.use_trunk(made.as_deref());
        match apply::apply(sip, &step).await {
            Ok(id) => {
                report.done(at, &id);
                if step.object.is_inbound_trunk() {
                    made = Some(id);
                }
            }
            Err(why) => return report.failed(format!("{}: {why}", step.object.title())),
        }
    }
}
