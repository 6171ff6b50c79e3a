use super::{Context, processes, target};
use crate::errors::{Failure, failed};
use crate::messages::{About, ContainerOf};
use machine::compose::ExecOptions;
use spec::ServiceName;
use std::io::IsTerminal;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay exec api -- python -m app.cli create-user
  mainstay exec postgres -- psql -U postgres
  mainstay exec -T postgres -- psql -U postgres < dump.sql

Standard input goes to the command, and its exit code comes back. Where a script has more input of its own
(`while read …`), give the command none: `mainstay exec api -- COMMAND < /dev/null`.")]
pub struct Args {
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    service: ServiceName,
    /// Give the command no terminal, as for a pipe
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let scope = target::scope(context, &client).await?;
    let container: String = client.post("/v1/container", &ContainerOf { scope, service: args.service }).await?;
    let tty = !args.no_tty && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let about: About = client.get("/v1/about").await?;
    let command = machine::compose::docker_exec_with(
        &container,
        &args.command,
        &ExecOptions { input: true, tty, ..ExecOptions::default() },
    );
    let command = command.env("DOCKER_HOST", processes::host(&about));
    let status = machine::process::interactive(&command).await.map_err(failed("run docker exec"))?;
    Ok(u8::try_from(status).unwrap_or(1))
}
