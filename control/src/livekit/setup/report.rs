//! What an operator, or a script, is told.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::object::Change;
use super::plan::{Action, Step};

/// Says what is planned, then what was done, as it happens; or all of it as JSON at the end.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    dry_run: bool,
    rows: Vec<Row>,
    errors: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    action: Action,
    kind: &'static str,
    name: String,
    id: String,
    changes: Vec<Change>,
    done: bool,
}

impl Report {
    pub(super) fn new(json: bool, dry_run: bool) -> Self {
        Self { json, dry_run, rows: Vec::new(), errors: Vec::new() }
    }

    pub(super) fn planned(&mut self, steps: &[Step], conflicts: Vec<String>) {
        self.rows = steps.iter().map(Row::of).collect();
        if !self.json {
            self.rows.iter().for_each(Row::print);
        }
        conflicts.into_iter().for_each(|conflict| self.failed(conflict));
    }

    pub(super) fn may_go_on(&self) -> bool {
        !self.dry_run && self.errors.is_empty()
    }

    pub(super) fn done(&mut self, at: usize, id: &str) {
        let row = &mut self.rows[at];
        row.done = true;
        id.clone_into(&mut row.id);
        if !self.json && row.action != Action::Keep {
            println!("done     {} {}: {id}", row.kind, row.name);
        }
    }

    pub(super) fn failed(&mut self, why: String) {
        if !self.json {
            eprintln!("voxcore: {why}");
        }
        self.errors.push(why);
    }

    pub(super) fn end(self) -> ExitCode {
        let unchanged = self.rows.iter().all(|row| row.action == Action::Keep);
        let status = match (self.errors.is_empty(), self.dry_run && !unchanged) {
            (false, _) => 1,
            (true, true) => WOULD_CHANGE,
            (true, false) => 0,
        };
        if self.json {
            let Self { dry_run, rows, errors, .. } = self;
            let summary = json!({
                "dry_run": dry_run, "unchanged": unchanged, "steps": rows, "errors": errors,
            });
            println!("{summary}");
        } else if status == WOULD_CHANGE {
            println!("Nothing was changed: --dry-run.");
        }
        ExitCode::from(status)
    }
}

impl Row {
    fn of(step: &Step) -> Self {
        Self {
            action: step.action,
            kind: step.object.kind(),
            name: step.object.name().to_owned(),
            id: step.object.id().to_owned(),
            changes: step.changes.clone(),
            done: false,
        }
    }

    fn print(&self) {
        let (kind, name, id) = (self.kind, &self.name, &self.id);
        match self.action {
            Action::Keep => println!("keep     {kind} {name} ({id}): unchanged"),
            Action::Change => println!("change   {kind} {name} ({id})"),
            Action::Create => println!("create   {kind} {name}"),
        }
        for Change { field, from, to } in &self.changes {
            match from.is_empty() {
                true => println!("           {field}: {to}"),
                false => println!("           {field}: {from} -> {}", or_none(to)),
            }
        }
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

const WOULD_CHANGE: u8 = 3;
