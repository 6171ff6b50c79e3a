//! Rows under columns, within a width.

use super::columns::{Cell, Column, KEPT};

/// By which column, and whether the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub column: usize,
    pub is_reversed: bool,
}

/// Written out: the titles, and each row with the number it had.
pub struct Grid {
    pub head: String,
    pub rows: Vec<(usize, String)>,
}

/// Between two columns.
const GAP: usize = 2;
/// A first column that had to be cut keeps so much.
const LEAST: usize = 10;

/// Filters by the words of a row, sorts, and leaves out columns until the rest fits.
pub fn grid<R>(rows: &[R], columns: &[Column<R>], sort: Sort, filter: &str, width: Option<usize>) -> Grid {
    let mut cells: Vec<(usize, Vec<Cell>)> =
        rows.iter().map(|row| columns.iter().map(|column| (column.cell)(row)).collect()).enumerate().collect();
    let filter = filter.to_lowercase();
    cells.retain(|(_, row)| filter.is_empty() || row.iter().any(|cell| says(cell, &filter)));
    cells.sort_by(|(_, one), (_, two)| {
        let order = one[sort.column].order(&two[sort.column]);
        // Names keep rows from changing places while their numbers are equal.
        let names = || one[0].order(&two[0]).then_with(|| one[1].order(&two[1]));
        if sort.is_reversed { order.reverse() } else { order }.then_with(names)
    });
    let titles: Vec<String> = columns.iter().enumerate().map(|(index, c)| title(c.title, index, sort)).collect();
    let texts: Vec<(usize, Vec<String>)> =
        cells.iter().map(|(number, row)| (*number, row.iter().map(Cell::text).collect())).collect();
    let widths = widths(&titles, &texts);
    let worths: Vec<u8> = columns.iter().map(|column| column.worth).collect();
    let (shown, first) = fitting(&widths, &worths, width);
    let is_left = |index: usize| rows.first().is_some_and(|row| (columns[index].cell)(row).is_words());
    let line = |row: &[String]| {
        let columns = shown.iter().map(|index| {
            let width = if *index == 0 { first } else { widths[*index] };
            let text = shortened(&row[*index], width);
            let blank = " ".repeat(width - text.chars().count());
            if is_left(*index) { text + &blank } else { blank + &text }
        });
        let line = columns.collect::<Vec<_>>().join(&" ".repeat(GAP));
        shortened(line.trim_end(), width.unwrap_or(usize::MAX))
    };
    Grid { head: line(&titles), rows: texts.iter().map(|(number, row)| (*number, line(row))).collect() }
}

fn says(cell: &Cell, filter: &str) -> bool {
    cell.is_words() && cell.text().to_lowercase().contains(filter)
}

fn title(title: &str, index: usize, sort: Sort) -> String {
    match (index == sort.column, sort.is_reversed) {
        (false, _) => title.to_owned(),
        (true, false) => format!("{title}*"),
        (true, true) => format!("{title}^"),
    }
}

fn widths(titles: &[String], rows: &[(usize, Vec<String>)]) -> Vec<usize> {
    let widest = |index: usize| rows.iter().map(|(_, row)| row[index].chars().count()).max().unwrap_or(0);
    titles.iter().enumerate().map(|(index, title)| title.chars().count().max(widest(index))).collect()
}

/// The columns that are shown, and the width of the first.
fn fitting(widths: &[usize], worths: &[u8], most: Option<usize>) -> (Vec<usize>, usize) {
    let mut shown: Vec<usize> = (0..widths.len()).collect();
    let Some(most) = most else { return (shown, widths[0]) };
    let needed = |shown: &[usize]| shown.iter().map(|index| widths[*index] + GAP).sum::<usize>() - GAP;
    while needed(&shown) > most {
        // Of equal worth the last goes first.
        let Some(spared) =
            shown.iter().copied().filter(|i| worths[*i] < KEPT).min_by_key(|i| (worths[*i], usize::MAX - i))
        else {
            break;
        };
        shown.retain(|index| *index != spared);
    }
    let over = needed(&shown).saturating_sub(most);
    let first = widths[0].saturating_sub(over).max(LEAST.min(widths[0]));
    (shown, first)
}

/// Cut to a width, with a sign that it was.
pub fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}
