use super::{Context, processes, target, up};
use crate::errors::Failure;
use crate::messages::{Locate, Target};
use deploy::load::Source;
use deploy::promote::{Promotion, Request};
use spec::{EnvironmentName, ServiceName};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay promote staging production                  every image that serves in staging
  mainstay promote staging production --service api    one of them

The images are exactly those that serve in the first environment, by their content; everything else (variables,
domain, limits, networks, volumes) is the second one's.")]
pub struct Args {
    /// The environment whose images are taken
    #[arg(value_name = "FROM", value_parser = environment)]
    from: EnvironmentName,
    /// The environment that gets them
    #[arg(value_name = "TO", value_parser = environment)]
    to: EnvironmentName,
    /// Only this service
    #[arg(long = "service", value_name = "NAME", value_parser = target::service)]
    services: Vec<ServiceName>,
    #[command(flatten)]
    change: up::Change,
}

fn environment(name: &str) -> Result<EnvironmentName, String> {
    EnvironmentName::parse(name).map_err(|error| error.to_string())
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let source = Source { environment: Some(args.to), ..target::source(context)? };
    let mut request = up::request(source.clone(), &args.change)?;
    let client = processes::connect(context).await?;
    let named = !args.services.is_empty();
    let wanted = Request { source: source.clone(), from: args.from, services: args.services };
    let promotion: Promotion = client.post("/v1/promotion", &wanted).await?;
    for service in &promotion.left_out {
        eprintln!(
            "{service} serves in {} and is not described in the other environment: it is left out",
            promotion.from
        );
    }
    if promotion.images.is_empty() {
        eprintln!("Nothing to promote.");
        return Ok(0);
    }
    request.selection.services = promotion.images.keys().cloned().collect();
    request.selection.update_kept = named;
    if request.why.is_empty() {
        request.why = format!("promoted from {}", promotion.from);
    }
    request.promotion = Some(promotion);
    let target: Target = client.post("/v1/target", &Locate { source }).await?;
    up::carry_out_for(context, &client, &target, request, &args.change.consent).await
}
