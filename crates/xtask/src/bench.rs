//! Figures about the release binary, each a row with its target, number of runs and spread.
//!
//! A small platform of its own is brought up on a high loopback port with its own state folder,
//! so that a platform that runs on this machine is not touched.
//! Load comes from k6 at a fixed arrival rate: requests are sent on time whether or not earlier ones were answered,
//! so that a gap in service is counted as the requests that fell into it.

mod deploys;
mod http;
mod images;
mod lab;
mod load;
mod machine;
mod many;
mod page;
mod peer;
mod row;
mod scale;
mod start;
mod verbs;
mod wait;

use std::path::PathBuf;

use crate::error::TaskError;
use crate::{Outcome, docs, house};
use lab::Lab;
use machine::Machine;
use row::Row;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which benchmarks to run; all without a name.
    names: Vec<String>,
    /// Rows as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Fewer runs and shorter load: to see that the benchmarks work, not to quote.
    #[arg(long)]
    quick: bool,
    /// Keep the figures in docs/benchmarks.md.
    #[arg(long)]
    write: bool,
    /// List the benchmarks and run none.
    #[arg(long)]
    list: bool,
    /// The release binary to measure.
    #[arg(long, env = "MAINSTAY")]
    mainstay: Option<PathBuf>,
    /// The load tool.
    #[arg(long, env = "K6", default_value = "k6")]
    k6: PathBuf,
    /// The program that stands in for an application.
    #[arg(long, env = "TESTAPP")]
    testapp: Option<PathBuf>,
    /// The port of the bench platform.
    #[arg(long, default_value_t = 18_480)]
    port: u16,
}

/// One benchmark: what it is called, what it shows, and the function that measures it.
pub(crate) struct Bench {
    name: &'static str,
    shows: &'static str,
    measure: fn(&mut Lab) -> Outcome<Vec<Row>>,
}

pub(crate) const BENCHES: &[Bench] = &[
    Bench {
        name: "deploy",
        shows: "new versions deployed one after another under 500 requests a second: what of them fails",
        measure: deploys::under_load,
    },
    Bench {
        name: "failed-deploy",
        shows: "deploys that cannot work, under the same load: what of it fails",
        measure: deploys::that_fail_under_load,
    },
    Bench {
        name: "rollback",
        shows: "from the command to traffic on the warm previous release",
        measure: verbs::rollback,
    },
    Bench {
        name: "switch",
        shows: "from the command to traffic on the new release, without the time the application itself needs, beside Compose",
        measure: peer::switch,
    },
    Bench {
        name: "in-a-row",
        shows: "a hundred deploys one after the other: what is left behind by them",
        measure: many::in_a_row,
    },
    Bench {
        name: "verbs",
        shows: "commands that change nothing: a deploy of what already runs, status, a plan of 50 services",
        measure: verbs::that_change_nothing,
    },
    Bench {
        name: "scale",
        shows: "plan, status and a deploy at 5, 20 and 50 services, up to 200 releases and 10 environments",
        measure: scale::as_it_grows,
    },
    Bench { name: "memory", shows: "what agent and edge hold in memory at rest", measure: machine::at_rest },
];

pub(crate) fn run(options: &Options) -> Outcome {
    let chosen = chosen(&options.names)?;
    if options.list {
        for bench in chosen {
            println!("{:14} {}", bench.name, bench.shows);
        }
        return Ok(());
    }
    if options.write && (options.quick || !options.names.is_empty()) {
        return Err(TaskError::Refused(
            "only a whole run is kept: --write goes with neither names nor --quick".to_owned(),
        ));
    }
    let machine = Machine::look()?;
    let rows = measure(options, &chosen)?;
    if options.json {
        println!("{}", page::json(&machine, &rows)?);
    } else {
        print!("{}", page::table(&rows));
    }
    if options.write {
        docs::keep(&house::root().join("docs/benchmarks.md"), &page::markdown(&machine, &rows), false)?;
    }
    match rows.iter().filter(|row| row.met() == Some(false)).count() {
        0 => Ok(()),
        missed => Err(TaskError::Refused(format!("{missed} targets missed"))),
    }
}

fn measure(options: &Options, chosen: &[&Bench]) -> Outcome<Vec<Row>> {
    let mut lab = Lab::open(options)?;
    let mut rows = Vec::new();
    for bench in chosen {
        eprintln!("-- {}: {}", bench.name, bench.shows);
        rows.extend((bench.measure)(&mut lab)?);
    }
    lab.close()?;
    Ok(rows)
}

fn chosen(names: &[String]) -> Outcome<Vec<&'static Bench>> {
    let unknown = names.iter().find(|name| !BENCHES.iter().any(|bench| bench.name == **name));
    if let Some(name) = unknown {
        let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(TaskError::Refused(format!("there is no benchmark `{name}`; there are: {}", known.join(", "))));
    }
    let wanted = |bench: &&Bench| names.is_empty() || names.iter().any(|name| name == bench.name);
    Ok(BENCHES.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_every_benchmark_is_chosen_and_an_unknown_one_is_refused() {
        assert_eq!(chosen(&[]).unwrap().len(), BENCHES.len());
        assert_eq!(chosen(&["memory".to_owned()]).unwrap().len(), 1);
        assert!(chosen(&["speed".to_owned()]).is_err());
    }
}
