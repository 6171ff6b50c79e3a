use super::*;
use machine::docker::State as Is;
use spec::{EnvironmentName, PlatformName, ReleaseId, ServiceName, ServicePlan, Strategy};

use crate::release::{Definition, ImagePin};

fn scope() -> Scope {
    Scope { platform: PlatformName::parse("shop").unwrap(), environment: EnvironmentName::parse("production").unwrap() }
}

fn release(number: u64, image: &str, state: State) -> Release {
    let (id, service) = (ReleaseId::new(number), ServiceName::parse("web").unwrap());
    let container = scope().container(&service, &id);
    Release {
        scope: scope(),
        image: ImagePin { reference: String::new(), id: image.into(), instead_of: None },
        definition: Definition { file: String::new(), service: String::new(), hash: String::new() },
        plan: ServicePlan::new(service.clone(), Strategy::BlueGreen),
        state,
        container,
        targets: vec![],
        copies: 1,
        addresses: vec![],
        listens: Default::default(),
        making_way_for: None,
        guests: None,
        gateway_names: true,
        origin: Default::default(),
        by: String::new(),
        why: String::new(),
        created_ms: 0,
        switched_ms: None,
        parked_until_ms: None,
        healthy_after_ms: None,
        id,
        service,
    }
}

fn container(name: &str, image: &str, state: Is, ours: bool) -> Container {
    Container {
        id: name.into(),
        name: name.into(),
        image: image.into(),
        image_id: image.into(),
        labels: if ours { scope().selector().into_iter().collect() } else { Default::default() },
        state,
        ..Container::default()
    }
}

fn image(id: &str, tags: &[&str], project: Option<&str>) -> Image {
    let label = |project: &str| ("com.docker.compose.project".to_owned(), project.to_owned());
    Image {
        id: id.into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        labels: project.map(label).into_iter().collect(),
        size: 100,
        ..Image::default()
    }
}

fn scene() -> Scene {
    let failed = State::Failed { reason: String::new() };
    let releases = vec![
        release(1, "old", State::Retired),
        release(2, "shared", State::Retired),
        release(3, "bad", failed),
        release(4, "new", State::Serving),
    ];
    Scene {
        platform: None,
        doomed: vec![releases[0].clone(), releases[1].clone(), releases[2].clone()],
        needed: ["new".to_owned()].into(),
        containers: vec![
            container("shop-production-web-r3", "bad", Is::Exited, true),
            container("shop-production-web-r4", "new", Is::Running, true),
            container("shop-production-odd", "new", Is::Exited, true),
            container("shop-production-odd-runs", "new", Is::Running, true),
            container("foreign", "shared", Is::Exited, false),
        ],
        images: vec![
            image("old", &["mainstay/shop-production/web:r1"], None),
            image("shared", &["mainstay/shop-production/web:r2", "shop/web:2"], None),
            image("bad", &[], Some("shop-production")),
            image("new", &["mainstay/shop-production/web:r4"], Some("shop-production")),
            image("built", &[], Some("shop-production")),
            image("theirs", &[], Some("other")),
            image("stray", &["mainstay/shop-production/web:r0", "mainstay/shop-staging/web:r0"], None),
        ],
        networks: vec!["shop-production_old".into()],
        releases,
        built_for: ["shop-production".to_owned()].into(),
    }
}

#[test]
fn what_nobody_needs_goes_and_what_anybody_needs_stays() {
    let items = scene().items(&scope());
    let names: Vec<(Kind, &str, u64)> = items.iter().map(|item| (item.kind, item.name.as_str(), item.bytes)).collect();
    assert_eq!(
        names,
        [
            (Kind::Container, "shop-production-web-r3", 0),
            (Kind::Container, "shop-production-odd", 0),
            (Kind::Release, "web r1", 0),
            (Kind::Release, "web r2", 0),
            (Kind::Release, "web r3", 0),
            (Kind::Image, "mainstay/shop-production/web:r1", 100),
            (Kind::Image, "mainstay/shop-production/web:r2", 0),
            (Kind::Image, "bad", 100),
            (Kind::Image, "built", 100),
            (Kind::Image, "mainstay/shop-production/web:r0", 0),
            (Kind::Network, "shop-production_old", 0),
        ]
    );
}

#[test]
fn a_release_whose_container_runs_is_never_cleared_away() {
    let mut scene = scene();
    scene.containers.push(container("shop-production-web-r1", "old", Is::Running, true));
    let items = scene.items(&scope());
    assert!(!items.iter().any(|item| item.name == "web r1" || item.name == "shop-production-web-r1"), "{items:?}");
    let tag = items.iter().find(|item| item.name == "mainstay/shop-production/web:r1");
    assert!(tag.is_none(), "its image stays, too: {tag:?}");
}
