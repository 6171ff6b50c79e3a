use super::*;
use crate::process::{FakeProcesses, SystemProcesses};

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = crate::files::Root::open(dir.path()).unwrap();
    for (path, text) in files {
        root.write_atomic(path, text.as_bytes(), 0o644).unwrap();
    }
    dir
}

#[tokio::test]
async fn the_real_machine_has_a_name_a_kernel_and_some_of_everything() {
    let host = collect(&SystemProcesses, Path::new("/tmp")).await.unwrap();
    assert!(!host.hostname.is_empty() && !host.kernel.is_empty() && host.os != "unknown", "{host:?}");
    assert!(host.cpus > 0.0 && host.memory > 64 << 20 && host.memory_free <= host.memory, "{host:?}");
    assert!(host.disk_total >= host.disk_free && host.disk_free > 0, "{host:?}");
    assert_eq!(host.boot_id.len(), 36);
    assert!(host.docker.is_some(), "no Docker Engine answers: install docker.io and start dockerd");
    assert!(host.compose.as_deref().is_some_and(|v| v.starts_with('2')), "install the Docker Compose v2 plugin");
}

#[tokio::test]
async fn without_docker_the_other_facts_are_there() {
    let host = collect(&FakeProcesses::new(), Path::new("/")).await.unwrap();
    assert_eq!((host.docker, host.compose), (None, None));
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_no_engine() {
    let fake = FakeProcesses::new().on("docker version", 1, "null\n", "Cannot connect to the Docker daemon").on(
        "docker compose version",
        0,
        "v2.40.3\n",
        "",
    );
    let host = collect(&fake, Path::new("/")).await.unwrap();
    assert_eq!((host.docker, host.compose.as_deref()), (None, Some("2.40.3")));
}

#[test]
fn memory_is_read_in_bytes() {
    let memory = parse::meminfo("MemTotal:       24689764 kB\nMemFree: 1 kB\nMemAvailable:   23000000 kB\n");
    assert_eq!((memory.total, memory.available), (24_689_764 * 1024, 23_000_000 * 1024));
}

#[test]
fn a_distribution_without_a_pretty_name_has_its_plain_one() {
    assert_eq!(parse::os_name("NAME=\"Alpine Linux\"\nID=alpine\n"), "Alpine Linux");
    assert_eq!(parse::os_name(""), "unknown");
}

#[test]
fn a_version_2_box_limits_by_the_smallest_of_the_folders_above() {
    let dir = tree(&[
        ("cgroup.controllers", "cpu memory"),
        ("system.slice/cpu.max", "150000 100000"),
        ("system.slice/memory.max", "1073741824"),
        ("system.slice/app/cpu.max", "max 100000"),
        ("system.slice/app/memory.max", "2147483648"),
        ("system.slice/app/memory.current", "1000"),
    ]);
    let limits = cgroup::limits_under(dir.path(), "0::/system.slice/app\n");
    assert_eq!((limits.cpus, limits.memory, limits.memory_used), (Some(1.5), Some(1 << 30), Some(1000)));
}

#[test]
fn a_version_1_box_without_limits_has_none() {
    let dir = tree(&[
        ("cpu/cpu.cfs_quota_us", "-1"),
        ("cpu/cpu.cfs_period_us", "100000"),
        ("memory/memory.limit_in_bytes", "9223372036854771712"),
    ]);
    let limits = cgroup::limits_under(dir.path(), "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n");
    assert_eq!((limits.cpus, limits.memory), (None, None));
}

#[test]
fn a_version_1_container_finds_its_limits_at_the_mount() {
    let dir = tree(&[
        ("cpu/cpu.cfs_quota_us", "50000"),
        ("cpu/cpu.cfs_period_us", "100000"),
        ("memory/memory.limit_in_bytes", "536870912"),
    ]);
    let limits = cgroup::limits_under(dir.path(), "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n");
    assert_eq!((limits.cpus, limits.memory), (Some(0.5), Some(512 << 20)));
}

#[test]
fn a_machine_is_meant_by_its_name_with_or_without_domain_or_by_its_id() {
    let here = Identity { hostname: "web1.example.com".into(), machine_id: Some("4f1c".into()) };
    for word in ["web1", "WEB1", "web1.example.com", "4f1c"] {
        assert!(here.is(word), "{word}");
    }
    for word in ["web2", "web1.example.org", "4f1", ""] {
        assert!(!here.is(word), "{word}");
    }
}
