use crate::errors::Failure;
use clap::CommandFactory;

#[derive(clap::Args)]
#[command(after_help = "Example:
  mainstay completion bash > /etc/bash_completion.d/mainstay")]
pub struct Args {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(args: Args) -> Result<u8, Failure> {
    let mut command = super::Cli::command();
    clap_complete::generate(args.shell, &mut command, "mainstay", &mut std::io::stdout());
    Ok(0)
}
