//! Reading how the containers of a service are replaced.

use super::service::command;
use crate::platform::reader::{At, Fields, Reader, unit, whole};
use crate::platform::{FinishSettings, RollingSettings};
use crate::units::parse_duration;

pub(super) fn rolling(at: &At<'_>, r: &mut Reader) -> Option<RollingSettings> {
    let mut f = Fields::open(at, "rolling", r)?;
    let read = RollingSettings {
        surge: f.get(r, "surge", |at, r| whole(at, r, "surge", 0, 100)),
        unavailable: f.get(r, "unavailable", |at, r| whole(at, r, "unavailable", 0, 100)),
    };
    f.close(r, &[]);
    if read.surge == Some(0) && read.unavailable.unwrap_or(0) == 0 {
        r.refuse(
            at,
            "with neither more nor fewer copies than usual none can be replaced",
            "surge or unavailable above 0",
        );
    }
    Some(read)
}

pub(super) fn finish(at: &At<'_>, r: &mut Reader) -> Option<FinishSettings> {
    let mut f = Fields::open(at, "finish", r)?;
    let stop_taking =
        f.require(r, "stop_taking", "stop_taking: [celery, -A, app, control, cancel_consumer, celery]", command);
    let (idle, take_again) = (f.get(r, "idle", command), f.get(r, "take_again", command));
    let within = f.get(r, "within", |at, r| unit(at, r, "within", parse_duration));
    f.close(r, &[]);
    Some(FinishSettings { stop_taking: stop_taking?, idle, take_again, within })
}
