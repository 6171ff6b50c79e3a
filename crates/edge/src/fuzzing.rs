//! What fuzzing calls: each function makes of bytes what a stranger or a file could bring, and asserts what must hold.
//!
//! None of it is in a built program: it is compiled for this crate's tests, which run the seeds in `fuzz/corpus` and
//! changes of them, and with the feature `fuzzing`, for the targets in `fuzz/`.

mod announced;
mod bytes;
mod cookies;
mod forwarded;
mod frames;
mod headers;
mod heads;
mod masked;
mod redirects;
mod routes;
mod snapshots;

pub use announced::announced;
pub use cookies::cookies;
pub use forwarded::forwarded;
pub use frames::frames;
pub use headers::headers;
pub use heads::heads;
pub use masked::masked;
pub use redirects::redirects;
pub use routes::routes;
pub use snapshots::snapshots;

/// What asserts.
pub type Check = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Check); 10] = [
    ("heads", heads),
    ("headers", headers),
    ("forwarded", forwarded),
    ("announced", announced),
    ("frames", frames),
    ("snapshots", snapshots),
    ("redirects", redirects),
    ("cookies", cookies),
    ("routes", routes),
    ("masked", masked),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// So many changes of each seed, always the same ones.
    const CHANGES: u64 = 200;

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// One of xorshift's numbers after another.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % limit.max(1) as u64).unwrap()
        }
    }

    /// A few bytes of it are others, fewer, more, or another seed's.
    fn changed(seed: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=chance.below(4) {
            let at = chance.below(bytes.len() + 1);
            match chance.below(5) {
                0 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
                1 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
                2 => drop(bytes.splice(at..(at + chance.below(8)).min(bytes.len()), [])),
                3 => bytes.insert(at, b"\r\n\t ,;:=\"\\\0/{}"[chance.below(14)]),
                _ => {
                    let from = chance.below(other.len());
                    bytes.splice(at..at, other[from..(from + 16).min(other.len())].iter().copied());
                }
            }
        }
        bytes
    }

    fn holds(target: &str) {
        let (_, check) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
        let seeds = seeds(target);
        assert!(seeds.len() >= 3, "{target} has {} seeds", seeds.len());
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
        for seed in &seeds {
            check(seed);
            for _ in 0..CHANGES {
                let other = &seeds[chance.below(seeds.len())];
                check(&changed(seed, other, &mut chance));
            }
        }
    }

    macro_rules! each_holds {
        ($($test:ident $target:literal),* $(,)?) => {
            $(#[test] fn $test() { holds($target); })*
            #[test]
            fn every_target_is_run_here() {
                assert_eq!(TARGETS.map(|(name, _)| name), [$($target),*]);
            }
        };
    }

    each_holds! {
        raw_heads_are_read_alike_wherever_they_are_cut "heads",
        a_targets_headers_have_nothing_of_one_hop "headers",
        who_a_proxy_speaks_for_is_found_as_a_plain_reader_finds_it "forwarded",
        proxy_protocol_headers_mean_one_thing "announced",
        frames_are_cut_as_a_plain_reader_cuts_them "frames",
        a_snapshot_never_opens_what_it_restricts "snapshots",
        redirects_lead_where_their_templates_say "redirects",
        cookies_are_found_and_written_plainly "cookies",
        routes_are_found_as_a_plain_search_finds_them "routes",
        secrets_are_masked "masked",
    }
}
