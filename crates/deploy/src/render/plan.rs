//! A plan as a person reads it.

use spec::Migration;
use spec::platform::MigrationKind;

use crate::plan::{Action, Change, Fetch, Plan};

/// `+` created, `~` changed or started again, `-` removed, `=` left alone, `!` differs and stays; each with its reason.
pub fn text(plan: &Plan) -> String {
    let mut out = format!("Plan for {}\n", plan.scope);
    for line in &plan.notes {
        out.push_str(&format!("  {line}\n"));
    }
    for line in &plan.ground {
        out.push_str(&format!("  + {line}\n"));
    }
    for line in &plan.remade {
        out.push_str(&format!("  ~ {line}\n"));
    }
    for line in &plan.kept {
        out.push_str(&format!("  ! {line}\n"));
    }
    let width = plan.changes.iter().map(|change| change.service.as_ref().len()).max().unwrap_or(0);
    for change in &plan.changes {
        line(&mut out, change, width);
    }
    for line in &plan.resources {
        out.push_str(&format!("  limits: {line}\n"));
    }
    for line in &plan.refused {
        out.push_str(&format!("refused: {line}\n"));
    }
    out.push_str(&summary(plan));
    out
}

fn line(out: &mut String, change: &Change, width: usize) {
    let mark = match change.action {
        Action::Create => '+',
        Action::Update | Action::Scale | Action::Start => '~',
        Action::Remove => '-',
        Action::Hold | Action::Nothing => '=',
    };
    let mut reasons = change.reasons.join("; ");
    if change.action == Action::Nothing {
        reasons = "unchanged".into();
    }
    if !change.at_edge.is_empty() {
        reasons.push_str(&format!("; at the edge {}", change.at_edge.join("; ")));
    }
    let fetch = match change.fetch {
        Some(Fetch::Build) => format!(", builds {}", change.image),
        Some(Fetch::Pull) => format!(", pulls {}", change.image),
        None => String::new(),
    };
    out.push_str(&format!(
        "  {mark} {:width$}  {:<11} {reasons}{fetch}\n",
        change.service.as_ref(),
        change.strategy.to_string()
    ));
    if matches!(change.action, Action::Create | Action::Update) {
        out.push_str(&format!("    {:width$}  because {}\n", "", change.strategy_reason));
    }
    if let Some(copies) = told_copies(change) {
        out.push_str(&format!("    {:width$}  {copies}\n", ""));
    }
    if let Some(migration) = &change.migration {
        out.push_str(&format!("    {:width$}  runs first: {}\n", "", self::migration(migration)));
    }
    for note in &change.notes {
        out.push_str(&format!("    {:width$}  note: {note}\n", ""));
    }
    for warning in &change.warnings {
        out.push_str(&format!("    {:width$}  warning: {warning}\n", ""));
    }
}

/// How many copies there will be, where that is not one or was set by hand.
fn told_copies(change: &Change) -> Option<String> {
    match change.scaled {
        Some(file) => {
            Some(format!("{}, as set with `mainstay scale`; the compose file says {file}", copies(change.copies)))
        }
        None if change.copies > 1 && matches!(change.action, Action::Create | Action::Update) => {
            Some(copies(change.copies))
        }
        None => None,
    }
}

/// `1 copy`, `3 copies`.
pub fn copies(count: u32) -> String {
    if count == 1 { "1 copy".into() } else { format!("{count} copies") }
}

fn migration(migration: &Migration) -> String {
    let meaning = match migration.kind {
        MigrationKind::Expand => "expand: the release before goes on with it",
        MigrationKind::Contract => {
            "contract: releases before it lack what it takes away, so nothing goes back by itself, and `rollback` only with --past-migration"
        }
        MigrationKind::Breaking => {
            "breaking: the serving release may fail from the moment it runs, nothing goes back by itself, and `rollback` only with --past-migration"
        }
    };
    format!("`{}` ({meaning})", migration.job.command.join(" "))
}

fn summary(plan: &Plan) -> String {
    if plan.is_empty() {
        return "Nothing to change.\n".into();
    }
    let count = |action: Action| plan.changes.iter().filter(|change| change.action == action).count();
    let starts = match count(Action::Start) {
        0 => String::new(),
        starts => format!("{starts} to start, "),
    };
    format!(
        "{} to create, {starts}{} to update, {} to remove, {} unchanged.\n",
        count(Action::Create),
        count(Action::Update) + count(Action::Scale),
        count(Action::Remove),
        count(Action::Nothing) + count(Action::Hold)
    )
}
