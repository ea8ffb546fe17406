//! Pieces of Markdown.

use std::fmt::Write as _;

/// Text in one cell of a table: paragraphs become line breaks.
pub(super) fn cell(text: &str) -> String {
    let paragraphs: Vec<String> =
        text.trim().split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    paragraphs.join("<br>").replace('|', "\\|")
}

/// A literal; a cell's bar is escaped even there.
pub(super) fn code(text: &str) -> String {
    let text = text.replace('|', "\\|").replace('\n', "\\n");
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// A table; every row has as many cells as there are titles.
pub(super) fn table(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = format!("| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

/// The first paragraph of a doc comment, on one line.
pub(super) fn summary(doc: &str) -> String {
    let first = doc.trim().split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_on_one_line() {
        assert_eq!(cell(" a\n b | c\n\nd "), "a b \\| c<br>d");
        assert_eq!(code("|"), "`\\|`");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(table(&["x", "y"], [vec!["1".into(), "2".into()]]), "| x | y |\n|---|---|\n| 1 | 2 |\n");
        assert_eq!(summary("One\ntwo.\n\nThree."), "One two.");
    }
}
