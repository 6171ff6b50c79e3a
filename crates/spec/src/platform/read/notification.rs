//! Reading who is told what.

use super::super::reader::{At, Fields, Reader, list, text, unit, word};
use super::super::{NoticeKind, NotificationSettings};
use super::service;
use crate::units::parse_duration;

pub(super) fn notification(at: &At<'_>, r: &mut Reader) -> Option<NotificationSettings> {
    let mut f = Fields::open(at, "a notification", r)?;
    let read = NotificationSettings {
        webhook: f.get(r, "webhook", webhook),
        webhook_file: f.get(r, "webhook_file", |at, r| text(at, r, "a file").map(str::to_owned)),
        command: f.get(r, "command", service::command),
        on: f.get(r, "on", |at, r| list(at, r, |at, r| word(at, r, "kind of notice", &NoticeKind::WORDS))),
        timeout: f.get(r, "timeout", |at, r| unit(at, r, "timeout", parse_duration)),
    };
    f.close(r, &[]);
    let ways = [read.webhook.is_some(), read.webhook_file.is_some(), read.command.is_some()];
    if ways.iter().filter(|given| **given).count() != 1 {
        let message = "a notification leaves by exactly one way";
        r.refuse_at(at, "", message, "one of `webhook`, `webhook_file` and `command`");
    }
    Some(read)
}

fn webhook(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let url = text(at, r, "a web address")?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_none_or(str::is_empty) {
        r.refuse(at, "this is no web address", "an address such as `https://hooks.example.com/deploys`");
        return None;
    }
    Some(url.to_owned())
}
