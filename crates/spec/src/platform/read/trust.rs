//! Reading how a new release earns its traffic.

use super::service::command;
use crate::platform::reader::{At, Fields, Reader, flag, list, text, unit, whole, word};
use crate::platform::{CanaryBy, CanarySettings, MigrateSettings, MigrationKind, Pause, SoakSettings, SoakWritten};
use crate::units::{Percent, parse_duration};
use crate::yaml::Shape;

const BY: [(&str, CanaryBy); 2] = [("cookie", CanaryBy::Cookie), ("weight", CanaryBy::Weight)];

const KINDS: [(&str, MigrationKind); 3] =
    [("expand", MigrationKind::Expand), ("contract", MigrationKind::Contract), ("breaking", MigrationKind::Breaking)];

pub(super) fn soak(at: &At<'_>, r: &mut Reader) -> Option<SoakWritten> {
    if let Shape::Text { .. } = at.node.shape {
        return unit(at, r, "soak", parse_duration).map(SoakWritten::Time);
    }
    let mut f = Fields::open(at, "soak", r)?;
    let read = SoakSettings {
        time: f.get(r, "time", |at, r| unit(at, r, "time", parse_duration)),
        requests: f.get(r, "requests", |at, r| whole(at, r, "requests", 1, 1_000_000)),
        errors: f.get(r, "errors", |at, r| unit(at, r, "errors", Percent::parse)),
        errors_factor: f.get(r, "errors_factor", factor),
        p95_factor: f.get(r, "p95_factor", factor),
        p95_floor: f.get(r, "p95_floor", |at, r| unit(at, r, "p95_floor", parse_duration)),
    };
    f.close(r, &[]);
    Some(SoakWritten::Settings(read))
}

/// Less than once would call an equal release worse.
fn factor(at: &At<'_>, r: &mut Reader) -> Option<f64> {
    let number = text(at, r, "a factor")?.parse::<f64>().ok().filter(|factor| (1.0..=1000.0).contains(factor));
    if number.is_none() {
        r.refuse(at, "this is not a factor", "a number from 1 to 1000, such as `1.5`");
    }
    number
}

pub(super) fn canary(at: &At<'_>, r: &mut Reader) -> Option<CanarySettings> {
    let mut f = Fields::open(at, "a canary", r)?;
    let read = CanarySettings {
        steps: f.get(r, "steps", steps),
        pause: f.get(r, "pause", |at, r| unit(at, r, "pause", Pause::parse)),
        by: f.get(r, "by", |at, r| word(at, r, "way to share requests", &BY)),
    };
    f.close(r, &[]);
    Some(read)
}

fn steps(at: &At<'_>, r: &mut Reader) -> Option<Vec<Percent>> {
    let steps = list(at, r, |at, r| unit(at, r, "steps", Percent::parse))?;
    let is_inside = steps.iter().all(|step| step.value() > 0.0 && step.value() < 100.0);
    if !is_inside || steps.is_empty() || !steps.is_sorted_by(|a, b| a < b) {
        r.refuse(
            at,
            "the steps of a canary grow, between nothing and all",
            "shares such as `[5%, 25%, 50%]`; the switch after the last one is the rest",
        );
        return None;
    }
    Some(steps)
}

pub(super) fn migrate(at: &At<'_>, r: &mut Reader) -> Option<MigrateSettings> {
    let mut f = Fields::open(at, "a command that runs once", r)?;
    let command = f.require(r, "command", "command: [alembic, upgrade, head]", command);
    let timeout = f.get(r, "timeout", |at, r| unit(at, r, "timeout", parse_duration));
    let kind = f.get(r, "kind", |at, r| word(at, r, "kind of migration", &KINDS));
    let idempotent = f.get(r, "idempotent", |at, r| flag(at, r, "idempotent"));
    f.close(r, &[]);
    Some(MigrateSettings { command: command?, timeout, kind, idempotent })
}
