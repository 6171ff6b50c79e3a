//! How long the application itself needs until it is healthy, without any container.
//! Subtracted from the time to traffic it leaves what deploying adds.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::lab::Lab;
use super::wait::wait_for;
use super::{http, images};
use crate::error::TaskError;
use crate::{Outcome, run};

pub(crate) fn own_time(lab: &Lab) -> Outcome<Duration> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lab.address().port() + 1));
    let mut command = run::program(&lab.testapp);
    command.envs(images::variables(&images::GOOD[0]));
    command.env("PORT", address.port().to_string());
    let began = Instant::now();
    let mut child = run::start(&mut command, &lab.path("testapp.log"))?;
    let healthy = wait_for(Duration::from_secs(20), Duration::from_millis(2), || match http::get(address, "/health") {
        Ok((200, _)) => Ok(began.elapsed()),
        other => Err(format!("{other:?}")),
    });
    let ended = child.kill().and_then(|()| child.wait());
    ended.map_err(|source| TaskError::Start { command: "testapp".to_owned(), source })?;
    healthy
}
