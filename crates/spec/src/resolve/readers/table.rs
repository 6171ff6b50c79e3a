//! Which programs there are, what they look for, and what they do with what they find.

/// What a program does with every container that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// It sends requests there.
    Serves,
    /// It runs jobs there.
    Runs,
    /// It restarts, updates, stops or starts it.
    Acts,
    /// It shows, scrapes or collects it.
    Shows,
}

/// A program that reads the socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// The name that people know it by.
    pub(super) shown: &'static str,
    pub(super) reads: Reads,
    /// Labels that it acts on; see `matches`.
    pub(super) labels: &'static [&'static str],
    /// Variables that it acts on.
    pub(super) variables: &'static [&'static str],
    /// Labels with the value that switches it off for a container.
    pub(super) off: &'static [(&'static str, &'static str)],
    /// The last part of its image's name.
    pub(super) images: &'static [&'static str],
    /// What two of it would do; `None` for one that only looks.
    pub(super) itself: Option<&'static str>,
}

const NONE: Program = Program {
    name: "",
    shown: "",
    reads: Reads::Shows,
    labels: &[],
    variables: &[],
    off: &[],
    images: &[],
    itself: None,
};

const TWO_PROXIES: Option<&str> = Some("two of it would serve at once, with the same certificates and the same files");
const TWICE: Option<&str> = Some("two of it would run every job twice");
const BOTH_ACT: Option<&str> = Some("two of it would act on every container at once");

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: "traefik",
        shown: "Traefik",
        reads: Reads::Serves,
        labels: &["traefik."],
        off: &[("traefik.enable", "false")],
        images: &["traefik"],
        itself: TWO_PROXIES,
        ..NONE
    },
    Program {
        name: "caddy-docker-proxy",
        shown: "caddy-docker-proxy",
        reads: Reads::Serves,
        labels: &["caddy", "caddy.", "caddy_*"],
        images: &["caddy-docker-proxy", "caddy"],
        itself: TWO_PROXIES,
        ..NONE
    },
    Program {
        name: "nginx-proxy",
        shown: "nginx-proxy",
        reads: Reads::Serves,
        variables: &["VIRTUAL_HOST", "VIRTUAL_HOST_MULTIPORTS", "LETSENCRYPT_HOST"],
        images: &["nginx-proxy", "docker-gen", "acme-companion", "letsencrypt-nginx-proxy-companion"],
        itself: TWO_PROXIES,
        ..NONE
    },
    Program {
        name: "swag",
        shown: "SWAG",
        reads: Reads::Serves,
        labels: &["swag", "swag_"],
        off: &[("swag", "disable")],
        images: &["swag"],
        itself: TWO_PROXIES,
        ..NONE
    },
    Program {
        name: "tsdproxy",
        shown: "TSDProxy",
        reads: Reads::Serves,
        labels: &["tsdproxy."],
        off: &[("tsdproxy.enable", "false")],
        images: &["tsdproxy"],
        itself: TWO_PROXIES,
        ..NONE
    },
    Program {
        name: "dockflare",
        shown: "DockFlare",
        reads: Reads::Serves,
        labels: &["dockflare."],
        off: &[("dockflare.enable", "false")],
        images: &["dockflare"],
        itself: TWO_PROXIES,
        ..NONE
    },
    Program {
        name: "registrator",
        shown: "Registrator",
        reads: Reads::Serves,
        labels: &["SERVICE_"],
        variables: &["SERVICE_NAME", "SERVICE_TAGS"],
        off: &[("SERVICE_IGNORE", "true")],
        images: &["registrator"],
        itself: BOTH_ACT,
    },
    Program {
        name: "ofelia",
        shown: "Ofelia",
        reads: Reads::Runs,
        labels: &["ofelia."],
        off: &[("ofelia.enabled", "false")],
        images: &["ofelia"],
        itself: TWICE,
        ..NONE
    },
    Program {
        name: "chadburn",
        shown: "Chadburn",
        reads: Reads::Runs,
        labels: &["chadburn."],
        off: &[("chadburn.enabled", "false")],
        images: &["chadburn"],
        itself: TWICE,
        ..NONE
    },
    Program {
        name: "deck-chores",
        shown: "deck-chores",
        reads: Reads::Runs,
        labels: &["deck-chores."],
        images: &["deck-chores"],
        itself: TWICE,
        ..NONE
    },
    Program {
        name: "swarm-cronjob",
        shown: "swarm-cronjob",
        reads: Reads::Runs,
        labels: &["swarm.cronjob."],
        off: &[("swarm.cronjob.enable", "false")],
        images: &["swarm-cronjob"],
        itself: TWICE,
        ..NONE
    },
    Program {
        name: "docker-volume-backup",
        shown: "docker-volume-backup",
        reads: Reads::Runs,
        labels: &["docker-volume-backup."],
        images: &["docker-volume-backup"],
        itself: TWICE,
        ..NONE
    },
    Program {
        name: "watchtower",
        shown: "Watchtower",
        reads: Reads::Acts,
        labels: &["com.centurylinklabs.watchtower", "com.centurylinklabs.watchtower."],
        off: &[("com.centurylinklabs.watchtower.enable", "false"), ("com.centurylinklabs.watchtower", "false")],
        images: &["watchtower"],
        itself: BOTH_ACT,
        ..NONE
    },
    Program {
        name: "whats-up-docker",
        shown: "What's up Docker",
        reads: Reads::Acts,
        labels: &["wud."],
        off: &[("wud.watch", "false")],
        images: &["wud", "whats-up-docker"],
        ..NONE
    },
    Program {
        name: "autoheal",
        shown: "autoheal",
        reads: Reads::Acts,
        labels: &["autoheal", "autoheal."],
        off: &[("autoheal", "false")],
        images: &["autoheal", "docker-autoheal"],
        itself: BOTH_ACT,
        ..NONE
    },
    Program {
        name: "sablier",
        shown: "Sablier",
        reads: Reads::Acts,
        labels: &["sablier."],
        off: &[("sablier.enable", "false")],
        images: &["sablier"],
        itself: BOTH_ACT,
        ..NONE
    },
    Program {
        name: "diun",
        shown: "Diun",
        labels: &["diun."],
        off: &[("diun.enable", "false")],
        images: &["diun"],
        ..NONE
    },
    Program { name: "homepage", shown: "Homepage", labels: &["homepage."], images: &["homepage"], ..NONE },
    Program { name: "autokuma", shown: "AutoKuma", labels: &["kuma."], images: &["autokuma"], ..NONE },
    Program {
        name: "glance",
        shown: "Glance",
        labels: &["glance."],
        off: &[("glance.hide", "true")],
        images: &["glance"],
        ..NONE
    },
    Program {
        name: "prometheus",
        shown: "Prometheus",
        labels: &["prometheus.", "prometheus-", "prometheus_"],
        off: &[("prometheus.io/scrape", "false"), ("prometheus.io.scrape", "false"), ("prometheus.scrape", "false")],
        images: &["prometheus"],
        ..NONE
    },
    Program {
        name: "filebeat",
        shown: "Filebeat",
        labels: &["co.elastic."],
        off: &[("co.elastic.logs/enabled", "false"), ("co.elastic.logs/disable", "true")],
        images: &["filebeat", "metricbeat", "elastic-agent"],
        ..NONE
    },
    Program {
        name: "datadog",
        shown: "the Datadog agent",
        labels: &["com.datadoghq."],
        images: &["agent", "datadog-agent"],
        ..NONE
    },
    Program {
        name: "promtail",
        shown: "Promtail",
        labels: &["logging=promtail"],
        images: &["promtail", "alloy"],
        ..NONE
    },
];
