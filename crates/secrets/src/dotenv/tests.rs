use super::*;

fn value(text: &str, name: &str) -> String {
    parse(text).values.get(name).unwrap().expose().to_owned()
}

fn faults(text: &str) -> Vec<(usize, String)> {
    parse(text).faults.0.into_iter().map(|fault| (fault.line, fault.problem)).collect()
}

#[test]
fn values_are_read_as_compose_reads_them() {
    for (line, expected) in [
        ("A=plain", "plain"),
        ("A=", ""),
        ("A=   ", ""),
        ("  export A = spaced out  ", "spaced out"),
        ("A=with # a comment", "with"),
        ("A=no#comment", "no#comment"),
        ("A=# only a comment", ""),
        ("A=x=y", "x=y"),
        ("A='single $HOME \\n'", "single $HOME \\n"),
        ("A=\"two\\nlines\" # note", "two\nlines"),
        ("A=\"a \\\"quote\\\" and \\\\ and \\q\"", "a \"quote\" and \\ and \\q"),
        ("A=\"a # b\"", "a # b"),
        ("A=${B}", "${B}"),
        ("A=it's", "it's"),
        ("\u{feff}A=bom", "bom"),
        ("A=windows\r", "windows"),
        ("A=\"first\nsecond\"", "first\nsecond"),
        ("A='first\r\nsecond'\nB=2", "first\nsecond"),
        ("A=pässwörd", "pässwörd"),
    ] {
        assert_eq!(value(line, "A"), expected, "{line:?}");
    }
}

#[test]
fn comments_and_empty_lines_are_nothing() {
    assert!(parse("").values.is_empty());
    assert!(parse("# A=1\n\n   \n\t# B=2\r\n").values.is_empty());
}

#[test]
fn all_mistakes_are_told_at_once_with_their_lines() {
    let text = "GOOD=1\njust a word\nA+B=3\nGOOD=4\nC=\"x\" y\nD=\"open\nand on";
    assert_eq!(
        faults(text),
        [
            (2, "no `=`: a line is `NAME=value`, a name, a comment or empty".to_owned()),
            (3, "what stands before `=` is not a name: letters, digits and any of `_.-[]`".to_owned()),
            (6, "the value of `D` has no closing \"".to_owned()),
        ]
    );
}

#[test]
fn what_compose_takes_is_no_mistake() {
    let written = parse("A=1\nA=2\nodd.name=3\nodd-name: four\n1ST=5\nB[0]=6\nSHELLS\nC='x'rest\n");
    assert_eq!(written.faults.0, []);
    let values: Vec<_> = written.values.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(values, [("1ST", "5"), ("A", "2"), ("B[0]", "6"), ("C", "x"), ("odd-name", "four"), ("odd.name", "3")]);
    assert_eq!(written.inherited.into_iter().collect::<Vec<_>>(), ["SHELLS"]);
}

#[test]
fn a_mistake_never_quotes_what_may_be_a_value() {
    for text in ["hunter2 2secret", "hunter 2secret = x", "A=\"hunter2secret", "A=hunter2secret\0"] {
        let told = parse(text).faults.to_string();
        assert!(!told.is_empty());
        assert!(!told.contains("2secret"), "{told}");
    }
}
