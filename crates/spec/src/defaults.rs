//! Every default in one place; the reference page and the decisions behind them name the same numbers.

use std::time::Duration;

use crate::platform::StatusRange;
use crate::units::{Bytes, Percent};

/// The environment that is meant when neither a command nor the file names one.
pub const ENVIRONMENT: &str = "production";
/// The compose file that is read when the platform file names none.
pub const COMPOSE_FILE: &str = "compose.yaml";
/// The port of the edge.
pub const HTTP_PORT: u16 = 80;
/// Releases that are kept to roll back to.
pub const KEEP_RELEASES: u32 = 5;

/// The first pause between two health checks; short, so that a fast service is not waited for.
pub const HEALTH_INTERVAL: Duration = Duration::from_millis(250);
/// The pause grows up to this, so that a slow service is not worn out.
pub const HEALTH_MAX_INTERVAL: Duration = Duration::from_secs(1);
/// How long one check may take.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Checks in a row that must pass.
pub const HEALTH_SUCCESSES: u32 = 2;
/// How long one service may take to become healthy.
pub const HEALTH_BUDGET: Duration = Duration::from_secs(60);
/// The longest budget that is derived from a declared health check.
pub const HEALTH_LONGEST_BUDGET: Duration = Duration::from_secs(900);
/// The answers that count as healthy.
pub const HEALTH_STATUS: StatusRange = StatusRange { from: 200, to: 399 };

/// How long the old release may finish requests after the switch.
pub const DRAIN: Duration = Duration::from_secs(30);
/// How long WebSockets may stay open after the switch.
pub const DRAIN_WEBSOCKET: Duration = Duration::from_secs(60);
/// How long the old release stays ready for an instant rollback.
pub const WARM: Duration = Duration::from_secs(15 * 60);
/// How long the new release is watched after the switch.
pub const SOAK: Duration = Duration::from_secs(30);
/// With fewer requests nothing is known; one failure among these stays below the share that is allowed.
pub const SOAK_REQUESTS: u32 = 50;
/// Up to this share of answers from 500 on is never too much.
pub const SOAK_ERRORS: Percent = Percent::of(5);
/// So many times the old release's share is too much.
pub const SOAK_ERRORS_FACTOR: f64 = 2.0;
/// So many times the old release's p95 is too slow.
pub const SOAK_P95_FACTOR: f64 = 2.0;
/// Up to this p95 is never too slow: a program that has just started is slower than one that is warm.
pub const SOAK_P95_FLOOR: Duration = Duration::from_millis(500);
/// The shares of a canary.
pub const CANARY_STEPS: [Percent; 3] = [Percent::of(5), Percent::of(25), Percent::of(50)];
/// How long each is judged.
pub const CANARY_PAUSE: Duration = Duration::from_secs(120);
/// How long a migration or hook may take.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a job of its own may take to end.
pub const JOB_RUNS: Duration = Duration::from_secs(30 * 60);
/// How long a worker that takes nothing new may take to become idle.
pub const FINISH_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long a container may take to stop; Compose's own default.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// The pause between two of the edge's own health checks.
pub const EDGE_HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// Failures in a row that leave a copy out.
pub const EDGE_HEALTH_FALL: u32 = 3;
/// Successes in a row that bring it back.
pub const EDGE_HEALTH_RISE: u32 = 2;
/// Failed requests in a row after which a copy rests, where that is wanted.
pub const OUTLIER_FAILURES: u32 = 5;
/// How long it rests the first time.
pub const OUTLIER_EJECT: Duration = Duration::from_secs(10);
/// How long the edge tries to connect to a container.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a service may keep silent.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request waits for a place among those under way, where there is a queue.
pub const QUEUE_TIME: Duration = Duration::from_secs(5);
/// The answer of a redirect: it keeps method and body, and clients may remember it.
pub const REDIRECT_STATUS: u16 = 308;
/// How long browsers remember to use `https://` only.
pub const HSTS_MAX_AGE: Duration = Duration::from_secs(365 * 86_400);

/// One of so many successful answers is written into the access log.
pub const ACCESS_LOG_SAMPLE: u32 = 1;
/// An answer that took longer is always written.
pub const ACCESS_LOG_SLOW: Duration = Duration::from_secs(1);
/// The size at which the access log begins anew.
pub const ACCESS_LOG_ROTATE: Bytes = Bytes::mib(64);

/// How long a request waits while an exclusive service restarts.
pub const HOLD_TIME: Duration = Duration::from_secs(30);
/// How many requests wait.
pub const HOLD_REQUESTS: u32 = 1000;
/// How much memory the waiting requests may take.
pub const HOLD_BYTES: Bytes = Bytes::mib(64);

/// The least CPU that a limit is scaled down to; with less a process looks hung.
pub const LEAST_CPUS: f64 = 0.05;
/// The least memory that a limit is scaled down to; with less most runtimes do not start.
pub const LEAST_MEMORY: Bytes = Bytes::mib(128);
/// CPU is shared in time, so limits may add up to this many times the processors before they are scaled:
/// a limit keeps one service from starving the others, it does not reserve anything.
pub const CPU_OVERCOMMIT: f64 = 4.0;
