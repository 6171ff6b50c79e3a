//! Whatever is given, the answer is a value or problems with their places; never a panic, never a long wait.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]

use proptest::prelude::*;
use spec::compose::Project;
use spec::platform;

fn judged(text: &str) -> Result<(), TestCaseError> {
    if let Err(problems) = platform::parse(text, "f") {
        prop_assert!(!problems.is_empty());
        prop_assert!(!problems.to_string().is_empty());
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_bytes_are_a_problem_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        judged(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn random_texts_of_yaml_signs_never_panic(text in "[a-c:{}\\[\\],&*!|>'\"#%@`?\\- \t\n\r~<0-9\\\\]{0,200}") {
        judged(&text)?;
        judged(&format!("version: 1\nservices:\n  api: {text}"))?;
    }

    #[test]
    fn any_scalar_as_any_value_is_judged_at_its_place(
        key in prop::sample::select(vec!["port", "health", "routes", "drain", "warm", "migrate", "hold", "limits", "strategy"]),
        value in "[^\\s\"\\\\\\p{Cc}]{1,20}",
    ) {
        let text = format!("version: 1\nservices:\n  api:\n    {key}: \"{value}\"\n");
        if let Err(problems) = platform::parse(&text, "f") {
            for problem in problems.iter() {
                prop_assert_eq!((problem.line, problem.column), (4, key.len() + 7), "{}", problem);
            }
        }
    }

    #[test]
    fn a_damaged_example_is_judged_and_never_a_panic(at in 0_usize..4000, sign in "[\\PC\t\n]{0,3}", gone in 0_usize..5) {
        let mut chars: Vec<char> = spec::EXAMPLE.chars().collect();
        let from = at.min(chars.len());
        let to = (from + gone).min(chars.len());
        chars.splice(from..to, sign.chars());
        judged(&chars.into_iter().collect::<String>())?;
    }

    #[test]
    fn what_parses_survives_a_round_trip_through_its_own_json(port in 1_u16.., drain in 0_u64..100_000, cpus in 1_u32..1000) {
        let text = format!(
            "version: 1\nservices: {{api: {{port: {port}, drain: {drain}ms, limits: {{cpus: {}}}}}}}",
            f64::from(cpus) / 100.0
        );
        let file = platform::parse(&text, "f").expect("a valid file");
        let json = serde_json::to_value(&file).expect("JSON");
        prop_assert_eq!(serde_json::from_value::<spec::PlatformFile>(json).expect("the same file"), file);
    }

    #[test]
    fn any_json_as_a_compose_project_is_read_or_refused(text in "[\\{\\}\\[\\]\":,a-z0-9]{0,60}", key in "[a-z_]{1,20}") {
        let value = serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
        let mut service = serde_json::Map::new();
        for known in ["image", "ports", "volumes", "deploy", "depends_on", "healthcheck", "labels", "command", key.as_str()] {
            service.insert(known.to_owned(), value.clone());
        }
        let _ = Project::from_json(serde_json::json!({ "name": "p", "services": { "a": service, "b": value } }));
        let _ = Project::from_json(value);
    }
}

#[test]
fn nesting_without_end_is_one_problem_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("a:\n ", "")] {
        let text = format!("version: 1\nx-deep: {}{}", open.repeat(50_000), close.repeat(50_000));
        assert!(platform::parse(&text, "f").is_err(), "{open}");
        assert!(platform::parse(&open.repeat(100_000), "f").is_err(), "{open}");
    }
    let stairs: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(platform::parse(&stairs, "f").is_err());
}

#[test]
fn a_file_of_two_megabytes_is_refused_unread() {
    let text = format!("version: 1\nx-long: {}", "a".repeat(2 << 20));
    assert!(platform::parse(&text, "f").expect_err("too long").to_string().contains("too long"));
}
