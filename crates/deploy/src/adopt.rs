//! What only the edge needs to know takes effect without a new release: routes, limits, patience.

use spec::ServicePlan;
use spec::diff::service_changes;

use crate::draft::Draft;
use crate::error::DeployError;
use crate::plan::{Action, Change};
use crate::release::Release;
use crate::world::World;

/// The serving release's plan with the file's word about the edge; `None` when nothing differs.
/// Another port is a matter for the health gate, so that waits for the next release, and everything with it.
fn adopted(serving: &ServicePlan, wanted: &ServicePlan) -> Option<ServicePlan> {
    if serving.port != wanted.port {
        return None;
    }
    let plan = ServicePlan {
        routes: wanted.routes.clone(),
        drain: wanted.drain,
        drain_websocket: wanted.drain_websocket,
        hold: wanted.hold.clone(),
        protocol: wanted.protocol,
        edge_health: wanted.edge_health.clone(),
        outlier: wanted.outlier.clone(),
        slow_start: wanted.slow_start,
        connect_timeout: wanted.connect_timeout,
        response_timeout: wanted.response_timeout,
        restart_with: wanted.restart_with.clone(),
        ..serving.clone()
    };
    (plan != *serving).then_some(plan)
}

/// What changes at the edge for a service that stays as it is, in words for the plan.
pub fn lines(serving: &Release, wanted: &ServicePlan) -> Vec<String> {
    adopted(&serving.plan, wanted).map(|plan| service_changes(Some(&serving.plan), Some(&plan))).unwrap_or_default()
}

/// Writes it down for every service that stays as it is; the next push of the routing tells the edge.
pub fn adopt(world: &World, draft: &Draft) -> Result<(), DeployError> {
    let stays =
        |change: &&Change| matches!(change.action, Action::Nothing | Action::Scale | Action::Start | Action::Hold);
    for change in draft.plan.changes.iter().filter(stays) {
        let scope = &draft.loaded.scope;
        let Some(wanted) = draft.loaded.platform.service(change.service.as_ref()) else { continue };
        let Some(mut release) = world.serving_of(scope, &change.service)? else { continue };
        if let Some(plan) = adopted(&release.plan, wanted) {
            release.plan = plan;
            world.save_release(&release)?;
            let said = change.at_edge.join("; ");
            if said.is_empty() {
                continue;
            }
            world.talk.say(Some(&change.service), format!("the edge follows the platform file: {said}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use spec::{Route, ServiceName, Strategy};

    use super::*;

    #[test]
    fn the_edges_part_of_a_plan_is_taken_over_and_the_containers_part_is_not() {
        let mut serving = ServicePlan::new(ServiceName::parse("web").unwrap(), Strategy::BlueGreen);
        serving.port = Some(8080);
        let mut wanted = serving.clone();
        wanted.stop_grace *= 2;
        assert_eq!(adopted(&serving, &wanted), None, "the container's part waits for the next release");
        wanted.routes = vec![Route::new(None, "/")];
        wanted.response_timeout *= 2;
        let plan = adopted(&serving, &wanted).unwrap();
        assert_eq!((&plan.routes, plan.response_timeout), (&wanted.routes, wanted.response_timeout));
        assert_eq!(plan.stop_grace, serving.stop_grace);
        wanted.port = Some(9090);
        assert_eq!(adopted(&serving, &wanted), None, "nobody has proved the new port");
    }
}
