//! What a client does wrong below the requests, by the words under which it is counted.

/// Something that only the raw bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both `Content-Length` and `Transfer-Encoding`.
    TwoLengths,
    /// A line of the head ends in LF alone.
    BareLineFeed,
}

impl Fault {
    /// As a number that an atomic holds; 0 is none.
    pub(crate) fn number(self) -> u8 {
        match self {
            Fault::TwoLengths => 1,
            Fault::BareLineFeed => 2,
        }
    }
}

/// The word for a head that hyper refused; `None` when the connection ended for another reason.
///
/// hyper keeps its kinds to itself, so they are told apart by its texts; a text that is new to us is counted too, as
/// `bad-head`, and the tests of each case notice it.
pub(crate) fn word(error: &hyper::Error) -> Option<&'static str> {
    if !error.is_parse() {
        return None;
    }
    let text = error.to_string();
    let words = [
        ("invalid HTTP method", "bad-method"),
        ("invalid HTTP version", "bad-version"),
        ("URI too long", "uri-too-long"),
        ("invalid URI", "bad-uri"),
        ("invalid HTTP header", "bad-header"),
        ("invalid content-length", "bad-content-length"),
        ("invalid transfer-encoding", "bad-transfer-encoding"),
        ("unexpected transfer-encoding", "unexpected-transfer-encoding"),
        ("message head is too large", "headers-too-large"),
    ];
    let known = words.iter().find(|(beginning, _)| text.starts_with(beginning));
    Some(known.map_or("bad-head", |(_, word)| word))
}
