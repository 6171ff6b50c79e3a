//! What operators ask around deploys: differences, standing orders, the maintenance page, operations.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use deploy::Scope;
use deploy::diff::Difference;
use deploy::drift::Drift;
use deploy::promote::Promotion;
use deploy::prune::Item;
use deploy::standing::Standing;

use super::Answer;
use crate::agent::Agent;
use crate::errors::failed;
use crate::messages::{Locate, Operation, Target};

/// Operations that are listed.
const SHOWN: usize = 20;

pub fn router() -> Router<Agent> {
    Router::new()
        .route("/v1/operations", get(operations))
        .route("/v1/target", post(target))
        .route("/v1/diff", post(diff))
        .route("/v1/drift", post(drift))
        .route("/v1/restart", post(restart))
        .route("/v1/prune", post(prune))
        .route("/v1/removal", post(removal))
        .route("/v1/promotion", post(promotion))
        .route("/v1/standing", post(standing))
        .route("/v1/maintenance", post(maintenance))
}

/// The newest operations, oldest first; what was asked for is left out, since it may be large.
async fn operations(State(agent): State<Agent>) -> Answer<Vec<Operation>> {
    let all = agent.parts.ledger.list_records::<Operation>("operation", "").map_err(failed("list operations"))?;
    let mut all: Vec<Operation> = all.into_iter().map(|(_, operation)| Operation { work: None, ..operation }).collect();
    all.sort_by_key(Operation::number);
    let skip = all.len().saturating_sub(SHOWN);
    Ok(Json(all.split_off(skip)))
}

async fn target(State(agent): State<Agent>, Json(locate): Json<Locate>) -> Answer<Target> {
    let (scope, settings) = deploy::load::target(&agent.world(), &locate.source)?;
    Ok(Json(Target { scope, confirm: settings.confirm.unwrap_or(false) }))
}

async fn diff(State(agent): State<Agent>, Json(request): Json<deploy::diff::Request>) -> Answer<Vec<Difference>> {
    Ok(Json(deploy::diff::diff(&agent.world(), &request, &agent.host).await?))
}

async fn drift(State(agent): State<Agent>, Json(scope): Json<Scope>) -> Answer<Drift> {
    Ok(Json(deploy::drift::drift(&agent.world(), &scope).await?))
}

async fn restart(
    State(agent): State<Agent>,
    Json(request): Json<deploy::restart::Request>,
) -> Answer<deploy::restart::Way> {
    Ok(Json(deploy::restart::way(&agent.world(), &request).await?))
}

async fn promotion(State(agent): State<Agent>, Json(request): Json<deploy::promote::Request>) -> Answer<Promotion> {
    Ok(Json(deploy::promote::promotion(&agent.world(), &request, &agent.host).await?))
}

async fn prune(State(agent): State<Agent>, Json(request): Json<deploy::prune::Request>) -> Answer<Vec<Item>> {
    Ok(Json(deploy::prune::plan(&agent.world(), &request).await?))
}

async fn removal(
    State(agent): State<Agent>,
    Json(request): Json<deploy::removal::Request>,
) -> Answer<Vec<deploy::removal::volumes::VolumeFate>> {
    Ok(Json(deploy::removal::volumes::shown(&agent.world(), &request).await?))
}

async fn standing(State(agent): State<Agent>, Json(request): Json<deploy::standing::Request>) -> Answer<Standing> {
    let standing = agent.world().order(&request)?;
    if !request.on {
        // Whoever waited and was not refused meanwhile may go on.
        crate::agent::queue::go_on(&agent, &request.scope);
    }
    Ok(Json(standing))
}

async fn maintenance(State(agent): State<Agent>, Json(request): Json<deploy::maintenance::Request>) -> Answer<bool> {
    agent.world().maintenance(&request).await?;
    Ok(Json(request.page.is_some()))
}
