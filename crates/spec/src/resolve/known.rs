//! What images, commands, names and ports usually are: the tables that derivation reads.

use crate::compose::Service;

/// Images of programs that keep data or messages; compared with the last part of the image's name.
const DATABASES: &[&str] = &[
    "arangodb",
    "cassandra",
    "chroma",
    "clickhouse",
    "clickhouse-server",
    "cockroach",
    "consul",
    "couchdb",
    "cp-kafka",
    "dragonfly",
    "elasticsearch",
    "etcd",
    "influxdb",
    "kafka",
    "keydb",
    "mariadb",
    "meilisearch",
    "memcached",
    "milvus",
    "minio",
    "mongo",
    "mongodb",
    "mysql",
    "nats",
    "neo4j",
    "opensearch",
    "percona",
    "pgvector",
    "postgis",
    "postgres",
    "postgresql",
    "qdrant",
    "rabbitmq",
    "redis",
    "redis-stack",
    "redis-stack-server",
    "redpanda",
    "rethinkdb",
    "scylla",
    "surrealdb",
    "timescaledb",
    "timescaledb-ha",
    "typesense",
    "valkey",
    "vault",
    "weaviate",
    "zookeeper",
];

/// Folders in which databases keep their files.
const DATA_FOLDERS: &[&str] = &[
    "/bitnami",
    "/data/db",
    "/qdrant/storage",
    "/usr/share/elasticsearch/data",
    "/var/lib/cassandra",
    "/var/lib/clickhouse",
    "/var/lib/mysql",
    "/var/lib/postgresql",
    "/var/lib/rabbitmq",
    "/var/lib/redis",
];

/// Programs that serve HTTP; they have "workers" of their own that are not background workers.
const WEB_SERVERS: &[&str] = &[
    "apache2",
    "caddy",
    "daphne",
    "flower",
    "granian",
    "gunicorn",
    "httpd",
    "hypercorn",
    "nginx",
    "puma",
    "unicorn",
    "uvicorn",
    "uwsgi",
    "waitress",
];

const WORKERS: &[&str] = &[
    "arq",
    "asynq",
    "celeryd",
    "consume",
    "consumer",
    "delayed_job",
    "dramatiq",
    "faktory",
    "good_job",
    "horizon",
    "huey",
    "machinery",
    "oban",
    "procrastinate",
    "queue",
    "queues",
    "resque",
    "rq",
    "rqworker",
    "saq",
    "sidekiq",
    "solid_queue",
    "taskiq",
    "worker",
    "workers",
];

const SCHEDULERS: &[&str] = &[
    "beat",
    "celerybeat",
    "clock",
    "clockwork",
    "cron",
    "crond",
    "ofelia",
    "rqscheduler",
    "schedule",
    "scheduler",
    "supercronic",
];

/// Ports on which something else than plain HTTP is spoken.
const NOT_HTTP: &[u16] = &[
    21, 22, 25, 53, 110, 143, 389, 443, 465, 587, 636, 993, 995, 1025, 1433, 1521, 1883, 2181, 3306, 4222, 5432, 5433,
    5671, 5672, 6379, 6380, 6432, 8443, 8883, 9042, 9092, 11211, 27017, 33060,
];

/// Names of services that are the face of a product.
const FACES: &[&str] = &["web", "frontend", "app", "ui", "www", "site", "website", "client", "nginx", "proxy"];

/// Whether plain HTTP is likely spoken on this port.
pub fn speaks_http(port: u16) -> bool {
    is_http(port)
}

/// Whether plain HTTP is likely spoken on this port.
pub(super) fn is_http(port: u16) -> bool {
    !NOT_HTTP.contains(&port)
}

/// How much this name sounds like the face of the product: 0 is most.
pub(super) fn face_rank(name: &str) -> Option<usize> {
    FACES.iter().position(|face| *face == name)
}

/// Why this service is a database, if it is one.
pub(super) fn database(name: &str, service: &Service) -> Option<String> {
    let image = service.image.as_deref().map(image_word).unwrap_or_default();
    let volume = service.volumes.iter().find(|mount| mount.written_volume().is_some());
    let mounts = volume.and_then(|mount| mount.written_volume()).map(|volume| format!("mounts volume `{volume}`"));
    let keeps = volume.filter(|mount| DATA_FOLDERS.iter().any(|folder| mount.target.starts_with(folder)));
    let because = if DATABASES.contains(&image) {
        "runs a database image".to_owned()
    } else if let Some(mount) = keeps {
        format!("keeps its data in `{}`", mount.target)
    } else if service.build && DATABASES.contains(&name) {
        format!("is named `{name}`")
    } else {
        return None;
    };
    Some(mounts.into_iter().chain([because]).collect::<Vec<_>>().join(", "))
}

/// The last part of an image's name, without registry, tag and digest.
pub(super) fn image_word(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

/// Why this service is a scheduler, of which only one may run.
pub(super) fn scheduler(name: &str, service: &Service) -> Option<String> {
    let words = command_words(service);
    if words.iter().any(|word| word == "worker") && words.iter().any(|word| word == "-b" || word == "--beat") {
        return Some("its worker has the scheduler inside (`--beat`)".to_owned());
    }
    recognised(name, service, SCHEDULERS, "a scheduler")
}

/// Why this service is a background worker.
pub(super) fn worker(name: &str, service: &Service) -> Option<String> {
    recognised(name, service, WORKERS, "a background worker")
}

/// The command decides; the names of service and image only count when the image's own command runs.
fn recognised(name: &str, service: &Service, known: &[&str], what: &str) -> Option<String> {
    let words = command_words(service);
    if words.is_empty() {
        // A console of a queue is named after the queue, too; it publishes the port that people open.
        if !service.ports.is_empty() {
            return None;
        }
        if let Some(part) = parts(name).find(|part| known.contains(part)) {
            return Some(format!("is named `{name}`, as {what} (`{part}`)"));
        }
        let image = service.image.as_deref().map(image_word)?;
        let part = std::iter::once(image).chain(parts(image)).find(|part| known.contains(part))?;
        return Some(format!("its image `{image}` is {what} (`{part}`)"));
    }
    if words.iter().any(|word| WEB_SERVERS.contains(&program(word))) {
        return None;
    }
    let told = words.iter().filter(|word| !word.starts_with('-')).find(|word| {
        let program = program(word);
        known.contains(&program) || parts(program).any(|part| known.contains(&part))
    })?;
    Some(format!("its command runs {what} (`{told}`)"))
}

/// The words of what runs; the words behind `sh -c` are looked into.
fn command_words(service: &Service) -> Vec<String> {
    let all = service.entrypoint.iter().chain(&service.command);
    all.flat_map(|word| word.split_whitespace()).map(str::to_lowercase).collect()
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn parts(word: &str) -> impl Iterator<Item = &str> {
    word.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty())
}
