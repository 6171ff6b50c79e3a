use super::{Context, absolute, compose_project};
use crate::errors::{Failure, failed};
use deploy::Ending;
use deploy::load::{PLATFORM_FILE, compose_files_in};
use machine::compose::Compose;
use machine::files::Root;
use machine::process::{Processes, SystemProcesses};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay init
  mainstay init --print")]
pub struct Args {
    /// Print it instead of writing it
    #[arg(long)]
    print: bool,
    /// Replace a platform file that is there already
    #[arg(long)]
    force: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let dir = absolute(&context.global.dir)?;
    let root = Root::open(&dir).map_err(failed("open the folder"))?;
    let files = compose_files_in(&dir)?;
    let compose = Compose {
        project: project_name(&dir, &files),
        files: files.iter().map(|name| dir.join(name)).collect(),
        dir: Some(dir.clone()),
        ..Compose::default()
    };
    let command = compose.config();
    let output = SystemProcesses.run(&command).await.map_err(failed("run Docker Compose"))?;
    let output = output.ok(&command).map_err(failed("read the Compose file"))?;
    let value = machine::compose::decode_config(&output.stdout).map_err(failed("understand Docker Compose"))?;
    let project = spec::Project::from_json(value).map_err(failed("understand the Compose file"))?;
    let text = spec::init::platform_file_of(&project, &files);
    if args.print {
        print!("{text}");
        return Ok(0);
    }
    let there = root.read(PLATFORM_FILE).map_err(failed("look for a platform file"))?;
    if there.is_some() && !args.force {
        return Err(Failure::new(format!("{} exists already", dir.join(PLATFORM_FILE).display()), Ending::Refused)
            .hint("--print shows what would be written, --force replaces it"));
    }
    root.write_atomic(PLATFORM_FILE, text.as_bytes(), 0o644).map_err(failed("write the platform file"))?;
    eprintln!("wrote {}. Read it, then see `mainstay plan`", dir.join(PLATFORM_FILE).display());
    let engine = crate::engine::of(&context.layout).await.unwrap_or_else(|_| machine::docker::DEFAULT_HOST.to_owned());
    if let Some(line) = compose_project::line(&dir, &engine).await {
        eprintln!("{line}");
    }
    Ok(0)
}

fn project_name(dir: &std::path::Path, files: &[String]) -> String {
    match compose_project::name(dir, files) {
        name if name.is_empty() => "platform".into(),
        name => name,
    }
}
