//! Which platform and environment a command means.

use deploy::Scope;
use deploy::load::Source;
use spec::{EnvironmentName, ServiceName};

use super::{Context, absolute, shell};
use crate::client::Client;
use crate::errors::{Failure, failed};
use crate::messages::{Locate, Target};

pub fn source(context: &Context) -> Result<Source, Failure> {
    let dir = absolute(&context.global.dir)?;
    let environment = context.global.environment.as_deref().map(EnvironmentName::parse).transpose();
    let environment = environment.map_err(failed("understand --env"))?;
    Ok(Source {
        shell: shell::named_by(&dir),
        dir,
        environment,
        move_here: false,
        docker_configs: crate::engine::settings_folders(),
    })
}

pub async fn scope(context: &Context, client: &Client) -> Result<Scope, Failure> {
    client.post("/v1/locate", &Locate { source: source(context)? }).await
}

/// The same, with whether a change needs the environment's name.
pub async fn target(context: &Context, client: &Client) -> Result<Target, Failure> {
    target_of(client, source(context)?).await
}

/// The same of this folder and environment.
pub async fn target_of(client: &Client, source: Source) -> Result<Target, Failure> {
    client.post("/v1/target", &Locate { source }).await
}

pub fn service(name: &str) -> Result<ServiceName, String> {
    ServiceName::parse(name).map_err(|error| error.to_string())
}

/// Who asks, for the audit trail.
pub fn who() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "root".into());
    let via = if std::env::var_os("SSH_CONNECTION").is_some() { " over ssh" } else { "" };
    format!("{name}{via}")
}
