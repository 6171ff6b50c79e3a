//! That no crate slips out of the workspace's lints.

use crate::house::House;

pub(super) fn inherited(house: &House) -> Vec<String> {
    let manifest = |folder: &str| house.files.get(&format!("{folder}/Cargo.toml"));
    house
        .crates
        .iter()
        .filter(|member| !manifest(&member.folder).is_some_and(|text| inherits(text)))
        .map(|member| format!("{}: add `[lints]` with `workspace = true`", member.name))
        .collect()
}

fn inherits(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty()) == Some("workspace = true")
}

/// A ban that a crate lifts is named in a comment of its clippy.toml: "# lifted: `path`, because ...".
pub(super) fn repeated(house: &House) -> Vec<String> {
    let bans = banned(house.files.get("clippy.toml").map_or("", String::as_str));
    let own = house.ending("/clippy.toml").filter(|(path, _)| path.starts_with("crates/"));
    let mut findings = Vec::new();
    for (path, text) in own {
        let kept = banned(text);
        for ban in bans.iter().filter(|ban| !kept.contains(ban) && !is_lifted(text, ban)) {
            findings.push(format!("{path}: `{ban}` is missing; ban it, or say `# lifted: `{ban}`, because ...`"));
        }
    }
    findings
}

fn banned(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once("path = \"")?.1.split('"').next())
        .collect()
}

fn is_lifted(text: &str, ban: &str) -> bool {
    let lifted = format!("# lifted: `{ban}`, because ");
    text.lines().any(|line| line.trim().starts_with(&lifted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_inherits_only_by_its_lints_table() {
        assert!(inherits("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits("[package]\nworkspace = true\n"));
        assert!(!inherits("[lints]\n\n[lints.rust]\nworkspace = true\n"));
    }

    #[test]
    fn a_crate_that_leaves_out_a_ban_is_found_unless_it_says_why() {
        let root = "disallowed-methods = [\n  { path = \"a::b\", reason = \"x\" },\n  { path = \"c::d\" },\n  { path = \"e::f\" },\n]\n";
        let own = "# lifted: `c::d`, because this crate is the one place\n{ path = \"a::b\" },\n";
        let files = [("clippy.toml", root), ("crates/m/clippy.toml", own)];
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let house = House { crates: Vec::new(), files: files.collect() };
        let found = repeated(&house);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("`e::f` is missing"), "{found:?}");
    }
}
