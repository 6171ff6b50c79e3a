//! What images, commands, names and ports usually are: the tables that derivation reads.

use crate::compose::Service;
use crate::data::DataMount;
use crate::facts::ImageFacts;

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

/// Folders in which databases keep their files, and whose they are.
const DATA_FOLDERS: &[(&str, &str)] = &[
    ("/bitnami/mariadb", "MySQL"),
    ("/bitnami/mongodb", "MongoDB"),
    ("/bitnami/mysql", "MySQL"),
    ("/bitnami/postgresql", "PostgreSQL"),
    ("/bitnami/rabbitmq", "RabbitMQ"),
    ("/bitnami/redis", "Redis"),
    ("/bitnami/valkey", "Redis"),
    ("/data/db", "MongoDB"),
    ("/qdrant/storage", "Qdrant"),
    ("/usr/share/elasticsearch/data", "Elasticsearch"),
    ("/usr/share/opensearch/data", "OpenSearch"),
    ("/var/lib/cassandra", "Cassandra"),
    ("/var/lib/clickhouse", "ClickHouse"),
    ("/var/lib/influxdb", "InfluxDB"),
    ("/var/lib/mysql", "MySQL"),
    ("/var/lib/postgresql", "PostgreSQL"),
    ("/var/lib/rabbitmq", "RabbitMQ"),
    ("/var/lib/redis", "Redis"),
    ("/var/opt/mssql", "SQL Server"),
];

/// Databases by the files that lie in a folder, whose server is a service of its own.
const SERVERS_BY_FILES: &[&str] = &["PostgreSQL", "MySQL", "MongoDB", "Redis"];

/// Programs that serve a database; a command that runs one makes its service a database, whatever its image is called.
const SERVERS: &[&str] = &[
    "cassandra",
    "clickhouse-server",
    "cockroach",
    "couchdb",
    "etcd",
    "influxd",
    "keydb-server",
    "mariadbd",
    "mongod",
    "mysqld",
    "mysqld_safe",
    "postgres",
    "postmaster",
    "rabbitmq-server",
    "redis-server",
    "sqlservr",
    "valkey-server",
];

/// Programs for which a database's image is used as well, beside the database.
const TOOLS: &[&str] = &[
    "barman",
    "chown",
    "cron",
    "crond",
    "mariadb-dump",
    "mongodump",
    "mongosh",
    "mysqldump",
    "pg_basebackup",
    "pg_dump",
    "pg_dumpall",
    "pg_isready",
    "pgbackrest",
    "psql",
    "rclone",
    "redis-cli",
    "restic",
    "sleep",
    "supercronic",
    "tail",
    "wal-g",
];

/// Ports of databases; who writes data and offers one of them is one.
const DATABASE_PORTS: &[u16] =
    &[1433, 1521, 2379, 3306, 5432, 5984, 6379, 7687, 8529, 9042, 11211, 26257, 27017, 28015, 33060];

/// Programs that stand before databases and offer their ports.
const POOLERS: &[&str] =
    &["haproxy", "maxscale", "mysql-router", "odyssey", "pgbouncer", "pgcat", "pgpool", "proxysql", "tunnel", "proxy"];

/// Variables that the images of databases set, and everything made from them has.
const DATABASE_VARIABLES: &[&str] = &[
    "COUCHDB_VERSION",
    "MARIADB_VERSION",
    "MONGO_MAJOR",
    "MYSQL_MAJOR",
    "PGDATA",
    "PG_MAJOR",
    "RABBITMQ_VERSION",
    "REDIS_DOWNLOAD_URL",
    "VALKEY_DOWNLOAD_URL",
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

/// Ports on which web servers and the frameworks' own servers listen when nobody says otherwise.
const WEB: &[u16] = &[
    80, 81, 2368, 3000, 3001, 3002, 3003, 4000, 4200, 5000, 5001, 5173, 5601, 5678, 8000, 8001, 8008, 8069, 8080, 8081,
    8082, 8083, 8088, 8090, 8096, 8123, 8888, 9090, 9091, 9093,
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

/// Whether a port is one of web servers.
pub(super) fn is_web(port: u16) -> bool {
    WEB.contains(&port)
}

/// How much this name sounds like the face of the product: 0 is most.
pub(super) fn face_rank(name: &str) -> Option<usize> {
    FACES.iter().position(|face| *face == name)
}

/// Whose files usually lie in this folder of a container.
pub(super) fn data_folder(target: &str) -> Option<&'static str> {
    let is_in = |folder: &str| target.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    DATA_FOLDERS.iter().find(|(folder, _)| is_in(folder)).map(|(_, database)| *database)
}

/// Why this service is a database, if it is one, by what it is; see also [`database_by_files`].
pub(super) fn database(
    name: &str,
    service: &Service,
    image: Option<&ImageFacts>,
    data: &[DataMount],
) -> Option<String> {
    let word = service.image.as_deref().map(image_word).unwrap_or_default();
    let words = all_words(service, image);
    let runs =
        |known: &[&str]| words.iter().map(|word| program(word)).find(|word| known.contains(word)).map(str::to_owned);
    let server = runs(SERVERS);
    // Its image serves for other work as well: a dump every night, a look at a table.
    if server.is_none() && (!service.command.is_empty() || !service.entrypoint.is_empty()) && runs(TOOLS).is_some() {
        return None;
    }
    let title = image.and_then(|image| image.title.as_deref()).map(str::to_lowercase);
    let keeps = data.iter().find(|mount| data_folder(&mount.target).is_some());
    let because = if DATABASES.contains(&word) {
        "runs a database image".to_owned()
    } else if let Some(mount) = keeps {
        format!("keeps its data in `{}`", mount.target)
    } else if service.build && DATABASES.contains(&name) {
        format!("is named `{name}`")
    } else if let Some(server) = server {
        format!("runs `{server}`")
    } else if title.is_some_and(|title| DATABASES.contains(&title.as_str())) {
        "its image has the title of a database".to_owned()
    } else if let Some(variable) = image.and_then(variable_of_a_database) {
        format!("its image is made from a database's (`{variable}`)")
    } else if let Some(port) = database_port(word, service, image).filter(|_| !data.is_empty()) {
        format!("offers port {port}, which is a database's")
    } else {
        return None;
    };
    Some(with_mount(data, because))
}

/// Why this service is a database, by the files that lie in what it mounts.
pub(super) fn database_by_files(data: &[DataMount]) -> Option<String> {
    let by_files = |mount: &&DataMount| {
        mount.database.as_deref().is_some_and(|name| SERVERS_BY_FILES.contains(&name)) && !mount.own
    };
    let mount = data.iter().find(by_files)?;
    let name = mount.database.as_deref().unwrap_or_default();
    Some(format!("{} holds a {name} database", mount.what))
}

/// Whether the file has it run one of the programs that look after a database.
pub(super) fn is_tool(service: &Service) -> bool {
    command_words(service).iter().any(|word| TOOLS.contains(&program(word)))
}

fn with_mount(data: &[DataMount], because: String) -> String {
    let mounts = data.first().map(|mount| format!("writes to {}", mount.what));
    mounts.into_iter().chain([because]).collect::<Vec<_>>().join(", ")
}

/// What runs: the file's words where it has any, the image's where it has none.
fn all_words(service: &Service, image: Option<&ImageFacts>) -> Vec<String> {
    let written = command_words(service);
    match image {
        Some(image) if written.is_empty() => image.words.iter().map(|word| word.to_lowercase()).collect(),
        _ => written,
    }
}

fn variable_of_a_database(image: &ImageFacts) -> Option<&'static str> {
    DATABASE_VARIABLES.iter().copied().find(|name| image.variables.contains(*name))
}

fn database_port(word: &str, service: &Service, image: Option<&ImageFacts>) -> Option<u16> {
    if parts(word).any(|part| POOLERS.contains(&part)) || POOLERS.contains(&word) {
        return None;
    }
    let published = service.ports.iter().filter(|port| port.protocol == "tcp").map(|port| port.target);
    let exposed = service.expose.iter().chain(image.map(|image| image.ports.as_slice()).unwrap_or_default()).copied();
    published.chain(exposed).find(|port| DATABASE_PORTS.contains(port))
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
