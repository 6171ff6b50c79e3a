use super::*;

fn value(text: &str, name: &str) -> String {
    parse(text).unwrap().get(name).unwrap().expose().to_owned()
}

fn faults(text: &str) -> Vec<(usize, String)> {
    parse(text).unwrap_err().0.into_iter().map(|fault| (fault.line, fault.problem)).collect()
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
    assert!(parse("").unwrap().is_empty());
    assert!(parse("# A=1\n\n   \n\t# B=2\r\n").unwrap().is_empty());
}

#[test]
fn all_mistakes_are_told_at_once_with_their_lines() {
    let text = "GOOD=1\njust a word\n1ST=2\nA-B=3\nGOOD=4\nC=\"x\" y\nD=\"open\nand on";
    assert_eq!(
        faults(text),
        [
            (2, "no `=`: a line is `NAME=value`, a comment or empty".to_owned()),
            (3, "what stands before `=` is not a name: letters, digits and `_`, first no digit".to_owned()),
            (4, "what stands before `=` is not a name: letters, digits and `_`, first no digit".to_owned()),
            (5, "`GOOD` is already set in line 1".to_owned()),
            (6, "something follows the closing quote of `C`".to_owned()),
            (7, "the value of `D` has no closing \"".to_owned()),
        ]
    );
}

#[test]
fn a_mistake_never_quotes_what_may_be_a_value() {
    for text in ["hunter2secret", "hunter 2secret = x", "A=\"hunter2secret", "A='x'hunter2secret", "A=hunter2secret\0"]
    {
        let told = parse(text).unwrap_err().to_string();
        assert!(!told.contains("2secret"), "{told}");
    }
}
