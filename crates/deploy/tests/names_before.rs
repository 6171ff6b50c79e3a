//! Platforms of the version before keep the names that their volumes have.

mod site;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deploy::identity::ComposeName;
use machine::docker::{Behaviour, Docker, VolumeSpec};
use site::{scope, site};
use spec::Strategy;

fn compose() -> ComposeName {
    ComposeName { name: "shop".into(), explicit: true, of_shell: false }
}

fn before() -> VolumeSpec {
    let labels: BTreeMap<String, String> = scope().selector().into_iter().collect();
    VolumeSpec { name: "shop-production_data".into(), labels, ..VolumeSpec::default() }
}

#[tokio::test]
async fn a_platform_whose_releases_are_known_keeps_the_names_it_was_given() {
    let site = site(Strategy::BlueGreen, Behaviour::default()).await;
    let release = site.world.all_releases().unwrap();
    assert!(!release.is_empty());
    deploy::learn(&site.world).await.unwrap();
    let known = site.world.identity(&scope()).unwrap().unwrap();
    assert_eq!(known.project, "shop-production");
    // Whatever the folder and the Compose file are called now.
    let files = [PathBuf::from("/srv/shop/compose.yaml")];
    let identity = site.world.identify(&scope(), Path::new("/srv/shop"), &files, &compose(), true).await.unwrap();
    assert_eq!(identity.project, "shop-production");
}

#[tokio::test]
async fn volumes_of_the_version_before_tell_the_names_where_nothing_was_written_down() {
    let site = site(Strategy::BlueGreen, Behaviour::default()).await;
    let identify = || async {
        let files = [PathBuf::from("/srv/shop/compose.yaml")];
        site.world.identify(&scope(), Path::new("/srv/shop"), &files, &compose(), true).await.unwrap().project
    };
    assert_eq!(identify().await, "shop");
    site.docker.create_volume(&before()).await.unwrap();
    assert_eq!(identify().await, "shop-production");
}
