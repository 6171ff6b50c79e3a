use super::{Context, target, up};
use crate::errors::Failure;
use deploy::Ending;
use deploy::up::CanaryWish;
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay deploy                          every service whose image or definition has changed
  mainstay deploy api --build              build it from its source first
  mainstay deploy api --pull               fetch its image again first, whose tag may have moved
  mainstay deploy api --canary             5% of the requests first, then 25%, 50% and all
  mainstay deploy api --image shop/api:42  this image instead of the compose file's")]
pub struct Args {
    /// Services to deploy; all that have changed when none is named
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    services: Vec<ServiceName>,
    /// Image for the one named service, or SERVICE=IMAGE
    #[arg(long = "image", value_name = "IMAGE")]
    images: Vec<String>,
    /// Build again what can be built
    #[arg(long)]
    build: bool,
    /// Let the new release take a growing share of the requests first; `mainstay canary` looks after it
    #[arg(long, conflicts_with = "no_canary")]
    canary: bool,
    /// Leave out the canary that the platform file asks for
    #[arg(long)]
    no_canary: bool,
    #[command(flatten)]
    change: up::Change,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let mut request = up::request(target::source(context)?, &args.change)?;
    for image in &args.images {
        let (service, image) = named(&args.services, image)?;
        request.images.insert(service, image);
    }
    request.selection.services = args.services;
    for service in request.images.keys() {
        if !request.selection.services.contains(service) {
            request.selection.services.push(service.clone());
        }
    }
    request.build = args.build;
    request.canary = match (args.canary, args.no_canary) {
        (true, _) => CanaryWish::Yes,
        (_, true) => CanaryWish::No,
        _ => CanaryWish::AsWritten,
    };
    up::carry_out(context, request, &args.change.consent).await
}

/// `SERVICE=IMAGE`, or an image alone when one service is named. An image reference may hold no `=`.
fn named(services: &[ServiceName], image: &str) -> Result<(ServiceName, String), Failure> {
    if let Some((service, image)) = image.split_once('=') {
        let service = target::service(service).map_err(|error| Failure::new(error, Ending::Invalid))?;
        return Ok((service, image.to_owned()));
    }
    match services {
        [only] => Ok((only.clone(), image.to_owned())),
        _ => Err(Failure::new(format!("which service gets the image `{image}`?"), Ending::Invalid)
            .hint(format!("write --image SERVICE={image}"))),
    }
}
