use super::consent::Consent;
use super::{Context, processes, target};
use crate::client::Client;
use crate::errors::Failure;
use crate::messages::{Begin, Target, Work};
use crate::show;
use ::deploy::load::Source;
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay up --yes
  mainstay up -e staging
  mainstay up --service postgres    also changes a service that is kept as it is otherwise
  mainstay up --pull                also fetches images whose tag has moved in the registry
  mainstay up --remove-orphans      also removes services whose profile is off")]
pub struct Args {
    /// Only this service; also updates one of strategy `keep`
    #[arg(long = "service", value_name = "NAME", value_parser = target::service)]
    services: Vec<ServiceName>,
    /// Build again what can be built
    #[arg(long)]
    build: bool,
    /// Remove also services whose profile is off or whose file is not given
    #[arg(long)]
    remove_orphans: bool,
    /// Make a volume anew that differs from the file: what uses it is stopped first, and what is in it may be lost
    #[arg(long = "recreate-volume", value_name = "NAME")]
    recreate_volumes: Vec<String>,
    /// Begin with an empty volume in place of one that is gone
    #[arg(long = "new-volume", value_name = "NAME")]
    new_volumes: Vec<String>,
    #[command(flatten)]
    change: Change,
}

/// Flags of every verb that puts releases into service.
#[derive(clap::Args, Default)]
pub struct Change {
    /// Replace even what has not changed
    #[arg(long)]
    pub force: bool,
    /// Ask registries again for images that are here: a tag such as `latest` may have moved
    #[arg(long)]
    pub pull: bool,
    /// Do not run migrations
    #[arg(long)]
    pub skip_migrations: bool,
    /// When one service fails, take those back that have already switched
    #[arg(long)]
    pub all_or_nothing: bool,
    /// Do not watch new releases after the switch
    #[arg(long)]
    pub no_soak: bool,
    /// The platform was brought up from another folder, and is at home in this one from now on
    #[arg(long)]
    pub move_here: bool,
    /// Why, for the record
    #[arg(short = 'm', long = "message", default_value = "", value_name = "TEXT")]
    pub why: String,
    #[command(flatten)]
    pub consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let update_kept = !args.services.is_empty();
    let mut request = request(target::source(context)?, &args.change)?;
    request.selection.services = args.services;
    request.selection.update_kept = update_kept;
    request.build = args.build;
    request.selection.remove_orphans = args.remove_orphans;
    request.recreate_volumes = args.recreate_volumes;
    request.new_volumes = args.new_volumes;
    carry_out(context, request, &args.change.consent).await
}

pub fn request(source: deploy::load::Source, change: &Change) -> Result<deploy::up::Request, Failure> {
    // Before an agent is started for it.
    deploy::load::check(&source)?;
    let source = Source { move_here: change.move_here, ..source };
    let mut request = deploy::up::Request {
        source,
        selection: deploy::plan::Selection::default(),
        images: Default::default(),
        build: false,
        pull: change.pull,
        promotion: None,
        skip_migrations: change.skip_migrations,
        skip_soak: change.no_soak,
        canary: deploy::up::CanaryWish::default(),
        all_or_nothing: change.all_or_nothing,
        tell_plan: false,
        recreate_volumes: Vec::new(),
        new_volumes: Vec::new(),
        by: target::who(),
        why: change.why.clone(),
    };
    request.selection.force = change.force;
    Ok(request)
}

/// Shows the plan, asks, does it, reports.
pub async fn carry_out(context: &Context, request: deploy::up::Request, consent: &Consent) -> Result<u8, Failure> {
    let client = processes::ensure(context).await?;
    let target = target::target_of(&client, Source { shell: Vec::new(), ..request.source.clone() }).await?;
    carry_out_for(context, &client, &target, request, consent).await
}

pub async fn carry_out_for(
    context: &Context,
    client: &Client,
    target: &Target,
    mut request: deploy::up::Request,
    consent: &Consent,
) -> Result<u8, Failure> {
    if show::ask::is_given(context, target, consent.yes)? {
        // The operation draws the plan anyway and tells it before it begins: asking twice costs half a second.
        request.tell_plan = true;
    } else {
        let plan: deploy::plan::Plan = client.post("/v1/plan", &request).await?;
        eprint!("{}", deploy::render::plan::text(&plan));
        if let Err(error) = plan.refuse() {
            return Err(error.into());
        }
        if !plan.is_empty() && !show::ask::consent(target, &question(&plan))? {
            return Ok(deploy::Ending::Refused.exit_code());
        }
    }
    for line in deploy::env_access::narrow(&request.source)? {
        eprintln!("{line}");
    }
    let begin = Begin { work: Work::Up(request), wait: consent.waits() };
    let ended = show::follow::operation(context, client, begin).await?;
    show::report::print(context, client, Some(&target.scope), ended).await
}

/// What a person agrees to with a yes.
fn question(plan: &deploy::plan::Plan) -> String {
    match plan.one_way().as_slice() {
        [] => "Go on?".to_owned(),
        services => {
            let names: Vec<String> = services.iter().map(ToString::to_string).collect();
            format!("Go on, with no simple way back past the migration of {}?", names.join(", "))
        }
    }
}
