//! Numbers as a person reads them in a narrow column.

/// So many in a second: `0`, `3.5`, `120`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        none if none <= 0.0 => "0".into(),
        few if few < 99.95 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

/// Milliseconds: `0.4`, `12`, `1234`; a dash where there is none.
pub fn millis(ms: Option<f64>) -> String {
    match ms {
        None => "-".into(),
        Some(short) if short < 9.95 => format!("{short:.1}"),
        Some(long) => format!("{long:.0}"),
    }
}

/// Bytes: `0`, `812`, `3.4k`, `12M`.
pub fn bytes(count: f64) -> String {
    let mut left = count;
    for unit in ["", "k", "M", "G"] {
        let digits = usize::from(!unit.is_empty() && left < 9.95);
        if left < 999.5 {
            return format!("{left:.digits$}{unit}");
        }
        left /= 1024.0;
    }
    format!("{left:.1}T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_what_matters() {
        let rates = [0.0, 0.04, 3.46, 99.9, 99.96, 1234.5].map(rate);
        assert_eq!(rates, ["0", "0.0", "3.5", "99.9", "100", "1234"]);
        let times = [None, Some(0.04), Some(9.94), Some(9.96), Some(1234.5)].map(millis);
        assert_eq!(times, ["-", "0.0", "9.9", "10", "1234"]);
        let sizes = [0.0, 812.0, 1000.0, 3500.0, 12.0 * 1024.0 * 1024.0, 5e12].map(bytes);
        assert_eq!(sizes, ["0", "812", "1.0k", "3.4k", "12M", "4.5T"]);
    }
}
