//! The table of what only threads have, which decides what tests are ignored over processes, is the documents' own.

use httpy_tests::executor::OfThreads;

#[test]
fn the_documents_list_what_only_threads_have() {
    let page = include_str!("../../../docs/processes.md");
    let (_, table) = page.split_once("\n## What only threads have\n").unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with("|---"));
    let rows: Vec<_> = rows
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected = OfThreads::ALL.map(OfThreads::row);
    let expected = expected.map(|(threads, processes)| format!("| {threads} | {processes} |"));
    assert_eq!(rows, expected);
}
