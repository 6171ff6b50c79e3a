//! The agent's socket: HTTP with JSON, so that a person with `curl --unix-socket` can use it too.

mod operate;
mod told;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use deploy::release::Release;
use deploy::{DeployError, Ending, Scope, World};
use futures_util::StreamExt;
use futures_util::stream;

use super::{Agent, queue, work};
use crate::errors::Failure;
use crate::messages::{About, Begin, ContainerOf, Event, Locate, Operation, Started};

pub fn router(agent: Agent) -> Router {
    Router::new()
        .route("/v1/about", get(about))
        .route("/v1/operations", post(begin))
        .route("/v1/operations/{id}/events", post(follow))
        .route("/v1/operations/{id}/abort", post(abort))
        .route("/v1/plan", post(plan))
        .route("/v1/way", post(way))
        .route("/v1/canary", post(canary))
        .route("/v1/locate", post(locate))
        .route("/v1/config", post(config))
        .route("/v1/status", post(status))
        .route("/v1/releases", post(releases))
        .route("/v1/container", post(container))
        .route("/v1/logs", post(told::logs))
        .route("/v1/events", post(told::events))
        .route("/v1/stop", post(stop))
        .merge(operate::router())
        .with_state(agent)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.ending {
            Ending::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Ending::Refused => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Failure>;

async fn about(State(agent): State<Agent>) -> Json<About> {
    let docker_host = Some(agent.docker_host);
    Json(About {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        binary: agent.binary,
        docker_host,
    })
}

async fn begin(State(agent): State<Agent>, Json(begin): Json<Begin>) -> Answer<Started> {
    Ok(Json(Started { id: work::begin(&agent, begin).await? }))
}

async fn follow(State(agent): State<Agent>, Path(id): Path<String>) -> Result<Response, Failure> {
    let Some(live) = agent.operations.get(&id) else { return ended(&agent, &id) };
    let lines = stream::unfold((live, 0, false), |(live, from, over)| async move {
        if over {
            return None;
        }
        let events = live.after(from).await;
        let over = matches!(events.last(), Some(Event::Ended { .. }));
        let from = from + events.len();
        Some((lines(&events), (live, from, over)))
    });
    Ok(Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>)).into_response())
}

/// An operation of an earlier agent: only how it ended is known.
fn ended(agent: &Agent, id: &str) -> Result<Response, Failure> {
    let known = agent.parts.ledger.get_record::<Operation>("operation", id);
    let known = known.map_err(crate::errors::failed("read the operation"))?;
    match known {
        Some(Operation { ended: Some(ended), .. }) => Ok(lines(&[Event::Ended { ms: 0, ended }]).into_response()),
        // Its roll-outs are being finished right now; the caller asks again.
        Some(_) => Ok(String::new().into_response()),
        None => Err(DeployError::Unknown { what: format!("operation {id}"), known: String::new() }.into()),
    }
}

fn lines<T: serde::Serialize>(values: &[T]) -> String {
    values.iter().map(|value| serde_json::to_string(value).unwrap_or_default() + "\n").collect()
}

async fn abort(State(agent): State<Agent>, Path(id): Path<String>) -> Answer<bool> {
    if queue::give_up(&agent, &id) {
        return Ok(Json(true));
    }
    let live = agent.operations.get(&id);
    if let Some(live) = &live {
        live.abort.request();
    }
    Ok(Json(live.is_some()))
}

async fn plan(State(agent): State<Agent>, Json(request): Json<deploy::up::Request>) -> Answer<deploy::plan::Plan> {
    let mut draft = deploy::draft(&agent.world(), &request, &agent.host).await?;
    if request.build {
        draft.mark_for_build();
    }
    Ok(Json(draft.plan))
}

async fn way(
    State(agent): State<Agent>,
    Json(request): Json<deploy::rollback::Request>,
) -> Answer<deploy::rollback::Way> {
    Ok(Json(deploy::rollback::way(&agent.world(), &request).await?))
}

async fn canary(
    State(agent): State<Agent>,
    Json(request): Json<deploy::canary::Request>,
) -> Answer<deploy::canary::Canary> {
    Ok(Json(deploy::canary::decide(&agent.world(), &request)?))
}

async fn locate(State(agent): State<Agent>, Json(locate): Json<Locate>) -> Answer<Scope> {
    Ok(Json(deploy::load::scope(&agent.world(), &locate.source)?))
}

async fn config(State(agent): State<Agent>, Json(locate): Json<Locate>) -> Answer<spec::Platform> {
    let loaded = deploy::load::load(&agent.world(), &locate.source, &agent.host).await?;
    Ok(Json(loaded.platform))
}

async fn status(State(agent): State<Agent>, Json(only): Json<Option<Scope>>) -> Answer<deploy::status::Status> {
    Ok(Json(deploy::status::status(&agent.world(), only.as_ref()).await?))
}

async fn releases(State(agent): State<Agent>, Json(scope): Json<Scope>) -> Answer<Vec<Release>> {
    Ok(Json(agent.world().releases(&scope, None)?))
}

async fn container(State(agent): State<Agent>, Json(of): Json<ContainerOf>) -> Answer<String> {
    Ok(Json(serving(&agent.world(), &of.scope, &of.service)?.container))
}

fn serving(world: &World, scope: &Scope, service: &spec::ServiceName) -> Result<Release, DeployError> {
    let known = || world.serving(scope).map(|all| all.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    match world.serving_of(scope, service)? {
        Some(release) => Ok(release),
        None => Err(DeployError::Unknown { what: format!("running service `{service}`"), known: known()? }),
    }
}

/// Refuses a service that nothing here is called by.
fn known(world: &World, scope: &Scope, service: &spec::ServiceName) -> Result<(), DeployError> {
    match world.releases(scope, Some(service))?.is_empty() {
        true => serving(world, scope, service).map(drop),
        false => Ok(()),
    }
}

/// Ends this agent; whoever supervises it starts the binary that is there now.
async fn stop(State(agent): State<Agent>) -> Answer<bool> {
    agent.stop.cancel();
    Ok(Json(true))
}
